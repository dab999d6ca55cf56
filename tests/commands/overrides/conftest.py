"""Hundreds of command lines are answered here, so what Hydra repeats for each is done once."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache

import pytest
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.hydra import Hydra
from hydra.plugins.config_source import ConfigResult
from omegaconf import grammar_parser

from sapiens_lab.commands.composing import config_folder

_load = FileConfigSource.load_config


@cache
def _shipped(path: str) -> ConfigResult:
    return _load(FileConfigSource("main", f"file://{config_folder()}"), path)


def _load_once(source: FileConfigSource, config_path: str) -> ConfigResult:
    """Parse each shipped file once; a user's may change."""
    if source.path != str(config_folder()):
        return _load(source, config_path)
    found: ConfigResult = copy.deepcopy(_shipped(config_path))
    found.provider = source.provider
    return found


@pytest.fixture(autouse=True, scope="package")
def quick() -> Iterator[None]:
    """Keep parsed files and interpolations; do not compose only to ask for ``hydra.mode``."""
    parse_once = cache(grammar_parser.parse)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileConfigSource, "load_config", _load_once)
        patch.setattr(Hydra, "get_mode", lambda *_, **__: None)
        for module in ("omegaconf.base", "omegaconf._utils"):
            patch.setattr(f"{module}.parse", parse_once)
        yield
