"""Compose the config of a command line as ``sapiens train`` does, without a run or its folder."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from sapiens_lab.commands.build import silence
from sapiens_lab.commands.composing import (
    accepted_words,
    compose_config,
    config_dirs,
    explained,
    single_choices,
)
from sapiens_lab.commands.hydra_app import Command, complete_overrides
from sapiens_lab.commands.overrides import quoting
from sapiens_lab.commands.overrides.checking import check_config
from sapiens_lab.commands.overrides.targets import add_search_folders
from sapiens_lab.commands.resolvers import register_resolvers


@contextmanager
def composed(words: Sequence[str]) -> Iterator[DictConfig]:
    """Compose and check the config of these words; ``${run_dir}`` is a folder that is deleted.

    Raises:
        ValueError: an override or a value is wrong; says which and what is allowed.
    """
    register_resolvers()
    words = quoting.quote_values(words)
    add_search_folders([Path.cwd(), *config_dirs(words)])
    with explained(words), tempfile.TemporaryDirectory(prefix="sapiens_doctor_") as folder:
        config = _compose(complete_overrides(Command.TRAIN, words))
        with open_dict(config):
            config.hydra.runtime.output_dir = folder
        before = HydraConfig.instance().cfg  # this may be a change to another config
        HydraConfig.instance().set_config(config)
        typed = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        choices = dict(config.hydra.runtime.choices)
        assert isinstance(typed, list)
        with open_dict(config):
            del config["hydra"]
        try:
            quoting.expand_home(config)
            check_config(config, [str(word) for word in typed], choices)
            silence()
            yield config
        finally:
            HydraConfig.instance().cfg = before


def _compose(words: Sequence[str]) -> DictConfig:
    while True:
        arguments = get_args_parser().parse_intermixed_args(list(words))
        try:
            return compose_config(
                single_choices(arguments.overrides),
                arguments.config_name or "config",
                config_dirs(words),
            )
        except ConfigCompositionException as error:
            words = accepted_words(words, error)


def build_shell(config: DictConfig, key: str, **arguments: Any) -> Any:
    """Build what a key of the config describes, with parameters that take no memory."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return instantiate(config[key], _convert_="all", **arguments)


def build(config: DictConfig, key: str, **arguments: Any) -> Any:
    """Build what a key of the config describes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return instantiate(config[key], _convert_="all", **arguments)


class Messages(logging.Handler):
    """Collect what the package says while something is built."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.said: list[tuple[int, str]] = []  # level, message

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message, once."""
        said = (record.levelno, record.getMessage())
        if said not in self.said:
            self.said.append(said)


@contextmanager
def messages() -> Iterator[Messages]:
    """Collect the messages of the package instead of printing them."""
    logger, handler = logging.getLogger("sapiens_lab"), Messages()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
