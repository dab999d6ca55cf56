"""The commands ``sapiens-train`` and ``sapiens-evaluate``: the only file that knows Hydra.

A command reads its overrides once before Hydra does, to answer a misspelt key with the nearest
real ones and to find the run that ``resume=auto`` or ``ckpt_path=auto`` means. Then Hydra composes
the config and the objects it names are built and run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from rich.console import Console
from rich.syntax import Syntax

from sapiens_lab.training.runs import Command, prepare_command, record_run

log = logging.getLogger(__name__)

# User mistakes: their message says what to do, so a trace would only hide it.
_USER_ERRORS = (ValueError, FileNotFoundError, FileExistsError, FloatingPointError)


def config_folder() -> Path:
    """Return the shipped configs: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def train() -> None:
    """Fit: ``sapiens-train experiment=pose/synthetic optimizer.lr=1e-3``."""
    _run(Command.TRAIN, _train)


def evaluate() -> None:
    """Measure a checkpoint: ``sapiens-evaluate ckpt_path=auto``."""
    _run(Command.EVALUATE, _evaluate)


def _run(command: Command, main: Callable[[DictConfig], float | None]) -> None:
    # Read when torch is first imported. Threads that spin while they wait take the cores from the
    # loading processes: on two cores beside one other process a step took half as long again.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _register_resolvers()
    folder = config_folder()
    with _explained():
        sys.argv[1:] = prepare_command(command, sys.argv[1:], folder)

    def entry(config: DictConfig) -> float | None:
        with _explained():
            return main(config)

    hydra.main(version_base="1.3", config_path=str(folder), config_name="config")(entry)()


def _register_resolvers() -> None:
    """Let a config ask what a skeleton or class list knows; imported late, so help stays quick."""

    def num_keypoints(source: str) -> int:
        from sapiens_lab.anatomy.skeleton import Skeleton

        return Skeleton.load(source).num_keypoints

    def parts(source: str) -> Any:
        from sapiens_lab.anatomy.parts import Parts

        return Parts.load(source)

    def part_names(source: str) -> ListConfig:
        return OmegaConf.create(list(parts(source).classes))  # plain lists do not resolve twice

    def part_weights(source: str) -> ListConfig | None:
        weights = parts(source).weights
        return None if weights is None else OmegaConf.create(weights.tolist())

    for name, resolver in {
        "num_keypoints": num_keypoints,
        "num_classes": lambda source: parts(source).num_classes,
        "part_names": part_names,
        "part_weights": part_weights,
    }.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _train(config: DictConfig) -> float | None:
    from sapiens_lab.training.callbacks.final_validation import refuse_empty_training

    learner, datamodule, trainer = _build(config)
    refuse_empty_training(trainer)
    trainer.fit(learner, datamodule=datamodule, ckpt_path=config.resume, weights_only=True)
    scores = [getattr(callback, "score", None) for callback in trainer.checkpoint_callbacks]
    return next((score for score in scores if score is not None), None)


def _evaluate(config: DictConfig) -> float | None:
    if config.ckpt_path is None and config.weights is None:
        raise ValueError(
            "nothing to evaluate: give `ckpt_path=PATH` (a checkpoint of a run), `ckpt_path=auto` "
            "(the best of this experiment's latest run) or `weights=PATH`"
        )
    learner, datamodule, trainer = _build(config)
    trainer.test(
        learner,
        datamodule=datamodule,
        ckpt_path=config.ckpt_path,
        weights_only=True,
        verbose=False,  # our own table says it
    )
    score = trainer.callback_metrics.get(config.monitor.replace("val/", "test/", 1))
    return None if score is None else float(score)


def _build(config: DictConfig) -> tuple[Any, Any, Any]:
    """Record the run, then build data, model and trainer; the data first, as they fail first."""
    import lightning as L
    from hydra.utils import instantiate

    from sapiens_lab.training.malloc import keep_freed_memory

    _check_sweep(config)
    run_folder = Path(HydraConfig.get().runtime.output_dir)
    if _is_main_process():
        record_run(config, run_folder, HydraConfig.get().overrides.task)
        _print_config(config)
    _silence()
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
    if _is_main_process():
        _describe(config, learner.model)
    objects = {  # `callbacks.sample_grid=null` switches one off
        name: [
            o for o in instantiate(config[name] or {}, _convert_="all").values() if o is not None
        ]
        for name in ("callbacks", "logger")
    }
    trainer = instantiate(config.trainer, _convert_="all", **objects)
    keep_freed_memory(trainer.strategy.root_device.type)
    return learner, datamodule, trainer


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


def _print_config(config: DictConfig) -> None:
    """Show what will run; interpolations stay readable, the file in the run folder is resolved."""
    shown = OmegaConf.masked_copy(
        config, [str(key) for key in config if key not in ("callbacks", "logger")]
    )
    Console().print(Syntax(OmegaConf.to_yaml(shown), "yaml", background_color="default"))


def _is_main_process() -> bool:
    """Tell the process that a user started from those that the launcher added to it."""
    from lightning.pytorch.utilities import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn a user's mistake into its message alone, with exit status 1.

    The trace goes to ``error.txt`` in the run's folder, or is printed with HYDRA_FULL_ERROR=1.
    """
    try:
        yield
    except Exception as error:
        cause = _root_cause(error)
        if not isinstance(cause, _USER_ERRORS) or _full_error():
            raise
        console = Console(stderr=True, highlight=False)
        console.print(f"[bold red]error:[/] {type(cause).__name__}", soft_wrap=True)
        console.print(str(cause), markup=False, soft_wrap=True)
        if HydraConfig.initialized():
            path = Path(HydraConfig.get().runtime.output_dir) / "error.txt"
            path.write_text("".join(traceback.format_exception(error)))
            console.print(f"[dim]full trace: {path}[/]", soft_wrap=True)
        raise SystemExit(1) from None


def _root_cause(error: BaseException) -> BaseException:
    """Undo the wrapping of Hydra's instantiate, which keeps the real error as a cause."""
    while type(error).__module__.startswith("hydra") and error.__cause__ is not None:
        error = error.__cause__
    return error


def _full_error() -> bool:
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def _silence() -> None:
    """Drop messages of libraries that a user of ours cannot act on."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # data.num_workers is chosen by the number of cores
        ".*smaller than the logging interval.*",  # the epoch's numbers are logged all the same
        ".*LeafSpec.*deprecated.*",  # between Lightning and torch
        ".*module\\(s\\) in eval mode at the start of training.*",  # frozen blocks are meant to be
        ".*your dataloader is not resumable.*",  # our DataModule is, see its state_dict
        ".*Checkpoint directory .* exists and is not empty.*",  # a continued run's own
    ):
        warnings.filterwarnings("ignore", message=message)
