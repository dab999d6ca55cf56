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
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig

from sapiens_lab.commands.build import run_folder, typed_overrides
from sapiens_lab.commands.claim import is_main_process, own_folder, release
from sapiens_lab.commands.composing import (
    accepted_words,
    compose_typed,
    config_dirs,
    config_folder,
    explained,
)
from sapiens_lab.commands.errors import reported
from sapiens_lab.commands.finetune.decided import may_be_open, remember
from sapiens_lab.commands.overrides import extending, quoting, trust
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

    return complete(words, lambda given: compose_typed(given, arguments))


def _find_automatically(command: Command, typed: Sequence[str], arguments: Any) -> Path | None:
    """Return the latest checkpoint of the experiment, or ``None`` where none is wanted."""
    config = compose_typed(typed, arguments)
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
