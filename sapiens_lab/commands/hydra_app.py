"""From overrides to objects: what ``sapiens train`` and ``sapiens evaluate`` have in common.

The overrides are completed first: an earlier run that ``resume=`` or ``ckpt_path=`` names brings
its own. Hydra then composes the config once, and the objects that it names are built and run.
Only ``auto`` composes before, as the config says where to look for runs.
"""

from __future__ import annotations

import contextlib
import enum
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from sapiens_lab.commands import suggestions, trust
from sapiens_lab.commands.errors import reported
from sapiens_lab.commands.resolvers import register_resolvers
from sapiens_lab.commands.summary import print_config, print_summary
from sapiens_lab.limits import set_limit_scale
from sapiens_lab.training import runs

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

log = logging.getLogger(__name__)

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
    interrupted: str = "stopped",
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
    context = click.get_current_context()
    program = [sys.argv[0], *([str(context.info_name)] if context.parent else [])]
    full_error = os.environ.get(_FULL_ERROR)
    with reported(interrupted=interrupted), _explained(overrides):
        words = complete_overrides(command, overrides)

        def entry(config: DictConfig) -> float | None:
            # Lightning starts further processes with the same command line and environment.
            report = reported(interrupted=interrupted, run_folder=_run_folder)
            with _argv(*program, *words), _environment(_FULL_ERROR, full_error), report:
                return main(config)

        # With this variable Hydra raises what is wrong with the config instead of printing it.
        with _argv(program[0], *words), _environment(_FULL_ERROR, "1"):
            hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")(
                entry
            )()


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
    value = own[-1].split("=", 1)[1].strip("'\"") if own else ""
    if value == "auto" or (command is Command.EVALUATE and value in ("", "null")):
        checkpoint = _find_automatically(command, typed, arguments)
    elif value in ("", "null"):
        checkpoint = None
    else:
        checkpoint = runs.existing_checkpoint(command.value, Path(value))
    if command is Command.EVALUATE:  # first, so that a folder which the user names wins
        others = [f"hydra.run.dir={_EVALUATE_FOLDER}", *others]
    if checkpoint is None:
        return [*options, *others]
    run = checkpoint.parent.parent
    if command is Command.TRAIN and (run / runs.OVERRIDES_FILE).is_file():
        others = [*others, f"hydra.run.dir='{run}'"]
    recorded = trust.recorded_words(
        run / runs.OVERRIDES_FILE,
        [config_folder(), *([Path(arguments.config_dir)] if arguments.config_dir else [])],
        is_trusted=any(word.lower() == "trust_run=true" for word in typed),
    )
    words = runs.merge_overrides(recorded, others)
    return [*options, *words, f"{command.value}='{checkpoint}'"]


def _find_automatically(command: Command, typed: Sequence[str], arguments: Any) -> Path | None:
    """Return the latest checkpoint of the experiment, or ``None`` where none is wanted."""
    searched = [Path(arguments.config_dir)] if arguments.config_dir else []
    config = _compose(_single(typed), arguments.config_name or "config", searched)
    value = config[command.value]
    if command is Command.EVALUATE and value is None and config.weights is not None:
        return None
    if value not in (None, "auto"):  # an experiment of the user's names it
        return runs.existing_checkpoint(command.value, Path(value))
    chosen = config.hydra.runtime.choices.experiment
    folder = Path(config.output_root, chosen)
    name = "last.ckpt" if command is Command.TRAIN else "best.ckpt"
    found = runs.latest_checkpoint(folder, name)
    if found is None and command is Command.EVALUATE:
        raise FileNotFoundError(
            f"no run of {chosen!r} with a best checkpoint below {folder}. Train one first "
            f"(`python train.py experiment={chosen}`), or name a file with `ckpt_path=PATH` or "
            "`weights=PATH`"
        )
    return found  # a pre-empted job's first start says resume=auto too


def build(config: DictConfig) -> tuple[Any, Any, Any]:
    """Record the run, then build the data (which fail first), the model and the trainer."""
    import lightning as L
    from hydra.utils import instantiate

    from sapiens_lab.training.malloc import keep_freed_memory

    _check_sweep(config)
    main_process = _is_main_process()
    if config.limit_scale is not None:
        set_limit_scale(config.limit_scale)
    if main_process:
        overrides_file = _run_folder() / runs.OVERRIDES_FILE
        is_new = not overrides_file.exists()
        runs.record_run(config, _run_folder(), HydraConfig.get().overrides.task)
        if is_new:
            trust.sign_run(overrides_file)
    silence()
    L.seed_everything(config.seed, workers=True, verbose=False)
    datamodule = instantiate(config.data, _convert_="all")
    for split in ("train", "val") if config.ckpt_path is None else ("test",):
        datamodule.dataset(split)
    learner = instantiate(config.learner, _convert_="all")
    if config.weights is not None:
        from sapiens_lab.weights.description import output_names
        from sapiens_lab.weights.load import load_weights

        outputs = output_names(learner.task.metadata())
        report = load_weights(learner.model, config.weights, head=config.head_init, outputs=outputs)
        log.info("%s", report)
        learner.origin, learner.license = report.source, report.license
    instantiate(config.tune)(learner.model)
    objects = {  # `callbacks.sample_grid=null` switches one off
        name: [
            o for o in instantiate(config[name] or {}, _convert_="all").values() if o is not None
        ]
        for name in ("callbacks", "logger")
    }
    if main_process:
        objects["callbacks"].append(_introduction(config, learner.model))
    trainer = instantiate(config.trainer, _convert_="all", **objects)
    keep_freed_memory(trainer.strategy.root_device.type)
    return learner, datamodule, trainer


@contextlib.contextmanager
def passing_interrupts(trainer: Any) -> Iterator[None]:
    """Pass Ctrl-C on, which Lightning answers by ending the process with status 1."""
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


def _introduction(config: DictConfig, model: Any) -> Callback:
    """Return a callback that says what runs, once nothing can be refused any more."""
    from lightning.pytorch.callbacks import LambdaCallback

    def introduce(*_: Any) -> None:
        if config.print_config:
            print_config(config)
        else:
            print_summary(config, HydraConfig.get())
        _describe(config, model)

    return LambdaCallback(on_fit_start=introduce, on_test_start=introduce)


def _describe(config: DictConfig, model: Any) -> None:
    from sapiens_lab.training.memory import describe

    size = (int(config.image_size[0]), int(config.image_size[1]))
    log.info("%s", describe(model, batch_size=config.data.batch_size, image_size=size))


def _check_sweep(config: DictConfig) -> None:
    """Refuse what Lightning cannot do: its other processes repeat the command, sweep included."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    if sweeping and config.trainer.devices not in (1, "1", [0]):
        raise ValueError(
            "a sweep (-m) trains its runs one after the other on one device; give "
            "trainer.devices=1, or start the runs one by one"
        )


def _is_main_process() -> bool:
    """Tell the process that a user started from those that the launcher added to it."""
    from lightning.pytorch.utilities import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


def _run_folder() -> Path:
    return Path(HydraConfig.get().runtime.output_dir)


def silence() -> None:
    """Drop messages of libraries that a user of ours cannot act on."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # data.num_workers is chosen by the number of cores
        ".*smaller than the logging interval.*",  # the epoch's metrics are logged all the same
        ".*LeafSpec.*deprecated.*",  # between Lightning and torch
        ".*module\\(s\\) in eval mode at the start of training.*",  # frozen blocks are meant to be
        ".*your dataloader is not resumable.*",  # our DataModule is, see its state_dict
        ".*Checkpoint directory .* exists and is not empty.*",  # a continued run's own
    ):
        warnings.filterwarnings("ignore", message=message)


# ---- composing -----------------------------------------------------------------------------------


def _compose(words: Sequence[str], name: str, searched: Sequence[Path]) -> DictConfig:
    """Compose as Hydra will."""
    path = ",".join(f"file://{folder.resolve()}" for folder in searched)
    add = [f"hydra.searchpath=[{path}]"] if path else []
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            config: DictConfig = compose(name, overrides=[*words, *add], return_hydra_config=True)
            return config
        finally:
            GlobalHydra.instance().clear()


def _single(words: Sequence[str]) -> list[str]:
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
def _explained(argv: Sequence[str]) -> Iterator[None]:
    """Answer an override that Hydra cannot apply with the nearest real ones."""
    try:
        yield
    except OverrideParseException as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"`{error.override}` is not Hydra's grammar of KEY=VALUE: {reason}. A value with "
            "spaces or brackets needs quotes inside the shell's: 'key=\"some value\"'"
        ) from error
    except HydraException as error:
        arguments = get_args_parser().parse_intermixed_args(list(argv))
        folders = [config_folder(), *([Path(arguments.config_dir)] if arguments.config_dir else [])]
        GlobalHydra.instance().clear()
        defaults = OmegaConf.to_container(_compose([], "config", []), resolve=False)
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
