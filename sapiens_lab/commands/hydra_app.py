"""From overrides to objects: what ``sapiens train`` and ``sapiens evaluate`` have in common.

The overrides are completed first: an earlier run that ``resume=`` or ``ckpt_path=`` names brings
its own. Hydra then composes the config once, and the objects that it names are built and run.
Only ``auto`` composes before, as the config says where to look for runs.
"""

from __future__ import annotations

import contextlib
import enum
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf

from sapiens_lab.commands.build import run_folder, typed_overrides
from sapiens_lab.commands.claim import is_main_process, own_folder, release
from sapiens_lab.commands.errors import reported
from sapiens_lab.commands.finetune.decided import may_be_open, remember
from sapiens_lab.commands.overrides import extending, quoting, suggestions, trust
from sapiens_lab.commands.overrides.accepting import accept_argument
from sapiens_lab.commands.overrides.checking import check_config
from sapiens_lab.commands.overrides.one_process import in_one_process
from sapiens_lab.commands.overrides.targets import add_search_folders
from sapiens_lab.commands.resolvers import register_resolvers
from sapiens_lab.training import runs

_FULL_ERROR = "HYDRA_FULL_ERROR"
_EVALUATE_FOLDER = "${output_root}/${experiment_name}/${now:%Y-%m-%d_%H-%M-%S}_evaluate"


class Command(enum.Enum):
    """The two commands; a value names the key that points at an earlier run."""

    TRAIN = "resume"
    EVALUATE = "ckpt_path"


def config_folder() -> Path:
    """Return the shipped configs: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def run_app(
    command: Command,
    overrides: Sequence[str],
    main: Callable[[DictConfig], float | None],
    *,
    interrupted: str | Callable[[], str] = "stopped",
) -> None:
    """Let Hydra compose the config (or several, with ``-m``) and run ``main`` on each.

    Args:
        command: which of the two.
        overrides: the command line after the command, Hydra's own options included.
        main: builds and runs what a config describes.
        interrupted: what to print after Ctrl-C.
    """
    # Read when torch is first imported. Threads that spin while they wait take the cores from the
    # loading processes: on two cores beside one other process a step took half as long again.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    register_resolvers()
    overrides = quoting.quote_values(overrides)
    context = click.get_current_context()
    program = [sys.argv[0], *([str(context.info_name)] if context.parent else [])]
    full_error = os.environ.get(_FULL_ERROR)
    with reported(interrupted=interrupted), explained(overrides):
        add_search_folders([Path.cwd(), *config_dirs(overrides)])
        words = complete_overrides(command, overrides)

        def entry(config: DictConfig) -> float | None:
            release()
            # Lightning starts further processes with the same command line and environment.
            with _argv(*program, *words), _environment(_FULL_ERROR, full_error):
                with reported(interrupted=interrupted), _without_empty_folder():
                    _check(config)
                with reported(interrupted=interrupted, run_folder=own_folder):
                    return main(config)

        app = hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")
        # With this variable Hydra raises what is wrong with the config instead of printing it.
        with _environment(_FULL_ERROR, "1"):
            while True:
                try:
                    with _argv(program[0], *words):
                        app(entry)()
                    return
                except ConfigCompositionException as error:
                    words = accepted_words(words, error)


def _check(config: DictConfig) -> None:
    quoting.expand_home(config)
    check_config(config, typed_overrides(), dict(HydraConfig.get().runtime.choices))


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


def config_dirs(argv: Sequence[str]) -> list[Path]:
    """Return the folder of ``--config-dir``, if there is one."""
    given = get_args_parser().parse_intermixed_args(list(argv)).config_dir
    return [Path(given)] if given else []


@contextlib.contextmanager
def _without_empty_folder() -> Iterator[None]:
    """Leave no folder of a run that was refused."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            run_folder().rmdir()  # one with files stays
        raise


def complete_overrides(command: Command, argv: Sequence[str]) -> list[str]:
    """Complete a command line before Hydra reads it.

    Returns:
        Hydra's options first, then the overrides, an earlier run's before the user's.

    Raises:
        FileNotFoundError: ``ckpt_path`` or ``resume`` names a file that does not exist.
        ValueError: its run was not written by this user and would choose what is called.
    """
    arguments = get_args_parser().parse_intermixed_args(list(argv))
    typed: list[str] = arguments.overrides
    options = [word for word in argv if word not in typed]
    if {"-h", "--help", "--hydra-help", "--version", "--info", "-i"} & set(options):
        return list(argv)
    own = [word for word in typed if runs.override_key(word) == command.value]
    others = [word for word in typed if word not in own]
    value = quoting.text_of(own[-1]) if own else ""
    num_epochs = extending.requested(typed) if command is Command.TRAIN else None
    if value == "auto" or (value == "" and (command is Command.EVALUATE or num_epochs)):
        checkpoint = _find_automatically(command, typed, arguments)
    elif value == "":
        checkpoint = None
    else:
        checkpoint = runs.existing_checkpoint(command.value, Path(value))
    if command is Command.EVALUATE:  # first, so that a folder which the user names wins
        others = [f"hydra.run.dir={_EVALUATE_FOLDER}", *others]
    if checkpoint is None:
        if num_epochs is not None:
            raise extending.nothing_to_extend(num_epochs)
        return [*options, *_decided(others, arguments)]
    run = checkpoint.parent.parent
    if command is Command.TRAIN and (run / runs.OVERRIDES_FILE).is_file():
        others = [*others, quoting.assignment("hydra.run.dir", run)]
    recorded = trust.recorded_words(
        run / runs.OVERRIDES_FILE,
        [config_folder(), *config_dirs(argv)],
        is_trusted=any(word.lower() == "trust_run=true" for word in typed),
    )
    if command is Command.EVALUATE:
        recorded = in_one_process(recorded, others)
    if command is Command.TRAIN:
        runs.check_state(checkpoint)  # after its overrides: whose run it is matters first
    if num_epochs is not None:
        recorded = extending.extended(recorded, checkpoint, num_epochs)
    words = runs.merge_overrides(recorded, others)
    return [*options, *words, quoting.assignment(command.value, checkpoint)]


def _decided(words: Sequence[str], arguments: Any) -> list[str]:
    """Decide what ``experiment=finetune/...`` leaves open."""
    remember([])
    is_open = may_be_open(words, config_folder(), has_own=bool(arguments.config_dir))
    if not (is_open and is_main_process()):
        return list(words)  # other processes are given all words
    from sapiens_lab.commands.finetune.choosing import complete

    return complete(words, lambda given: _compose_typed(given, arguments))


def _find_automatically(command: Command, typed: Sequence[str], arguments: Any) -> Path | None:
    """Return the latest checkpoint of the experiment, or ``None`` where none is wanted."""
    config = _compose_typed(typed, arguments)
    value = config[command.value]
    if command is Command.EVALUATE and value is None and config.weights not in (None, "auto"):
        return None
    if value not in (None, "auto"):  # an experiment of the user's names it
        return runs.existing_checkpoint(command.value, Path(value))
    chosen = config.hydra.runtime.choices.experiment
    folder = Path(config.output_root, chosen)
    if command is Command.TRAIN:
        return runs.latest_state(folder)  # a pre-empted job's first start says resume=auto too
    found = runs.latest_checkpoint(folder, "best.ckpt")
    if found is None:
        raise FileNotFoundError(
            f"no run of {chosen!r} with a best checkpoint below {folder}. Train one first "
            f"(`python train.py experiment={chosen}`), or name a file with `ckpt_path=PATH` or "
            "`weights=PATH`"
        )
    return found


# ---- composing -----------------------------------------------------------------------------------


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


def _compose_typed(typed: Sequence[str], arguments: Any) -> DictConfig:
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


@contextlib.contextmanager
def _argv(*words: str) -> Iterator[None]:
    before = sys.argv
    sys.argv = list(words)
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    before = os.environ.pop(name, None)
    try:
        if value is not None:
            os.environ[name] = value
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
