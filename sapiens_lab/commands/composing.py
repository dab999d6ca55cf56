"""Compose a config as Hydra will, before it does, and answer what Hydra cannot apply."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf

from sapiens_lab.commands.overrides import suggestions
from sapiens_lab.commands.overrides.accepting import accept_argument


def config_folder() -> Path:
    """Return the shipped configs: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def config_dirs(argv: Sequence[str]) -> list[Path]:
    """Return the folder of ``--config-dir``, if there is one."""
    given = get_args_parser().parse_intermixed_args(list(argv)).config_dir
    return [Path(given)] if given else []


def compose_config(words: Sequence[str], name: str, searched: Sequence[Path]) -> DictConfig:
    """Compose as Hydra will."""
    path = ",".join(f"file://{folder.resolve()}" for folder in searched)
    add = [f"hydra.searchpath=[{path}]"] if path else []
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            config: DictConfig = compose(name, overrides=[*words, *add], return_hydra_config=True)
            return config
        finally:
            GlobalHydra.instance().clear()


def compose_typed(typed: Sequence[str], arguments: Any) -> DictConfig:
    """Compose what a user typed; of a sweep the first choice, and any argument of a class."""
    searched = [Path(arguments.config_dir)] if arguments.config_dir else []
    name = arguments.config_name or "config"
    words = single_choices(typed)
    while True:
        try:
            return compose_config(words, name, searched)
        except ConfigCompositionException as error:
            accepted = accept_argument(
                words, str(error), lambda given: compose_config(given, name, searched)
            )
            if accepted is None:
                raise
            words = accepted


def single_choices(words: Sequence[str]) -> list[str]:
    """Reduce sweeps such as ``lr=1,2`` to their first choice."""
    singles = []
    for override in OverridesParser.create().parse_overrides(list(words)):
        line = override.input_line
        assert line is not None
        if override.is_hydra_override():
            continue
        if override.is_sweep_override():
            line = f"{line.split('=', 1)[0]}={next(iter(override.sweep_string_iterator()))}"
        singles.append(line)
    return singles


def accepted_words(words: Sequence[str], error: ConfigCompositionException) -> list[str]:
    """Return the words with one that Hydra refused as an argument of a class, if it is one."""
    arguments = get_args_parser().parse_intermixed_args(list(words))
    GlobalHydra.instance().clear()
    accepted = accept_argument(
        arguments.overrides,
        str(error),
        lambda typed: compose_config(
            single_choices(typed), arguments.config_name or "config", config_dirs(words)
        ),
    )
    if accepted is None:
        raise error
    return [*(word for word in words if word not in arguments.overrides), *accepted]


@contextlib.contextmanager
def explained(argv: Sequence[str]) -> Iterator[None]:
    """Answer an override that Hydra cannot apply with the nearest real ones."""
    try:
        yield
    except OverrideParseException as error:
        said = f"`{error.override}` is not Hydra's grammar of KEY=VALUE"
        raise ValueError(f"{said}: {str(error).splitlines()[0]}") from error
    except ValueError as error:
        if not str(error).startswith("Config group override must be"):
            raise
        typed = get_args_parser().parse_intermixed_args(list(argv)).overrides
        folders = [config_folder(), *config_dirs(argv)]
        overrides = OverridesParser.create().parse_overrides(typed)
        wrong = [o.input_line for o in overrides if not isinstance(o.value(), (str, list))]
        raise ValueError(suggestions.explain_choice([w for w in wrong if w], folders)) from error
    except HydraException as error:
        arguments = get_args_parser().parse_intermixed_args(list(argv))
        folders = [config_folder(), *config_dirs(argv)]
        GlobalHydra.instance().clear()
        defaults = OmegaConf.to_container(compose_config([], "config", []), resolve=False)
        assert isinstance(defaults, dict)
        known = suggestions.known_words(defaults, folders)
        message = suggestions.explain(arguments.overrides, str(error), known)
        raise ValueError(message) from error
