"""From a composed config to data, model and trainer, ready to run."""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from sapiens_lab import signals
from sapiens_lab.atomic import remove_leftovers
from sapiens_lab.commands.claim import is_main_process, own
from sapiens_lab.commands.overrides import trust
from sapiens_lab.commands.overrides.monitored import check_logged, check_monitor
from sapiens_lab.commands.summary import print_config, print_summary
from sapiens_lab.limits import set_limit_scale
from sapiens_lab.training import runs

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

log = logging.getLogger(__name__)

_GRACE_S = 10.0  # how long the processes of a run may take to end


def build(config: DictConfig, *, find_lr: bool = False) -> tuple[Any, Any, Any]:
    """Record the run, then build the data (which fail first), the model and the trainer.

    Args:
        config: of the run.
        find_lr: look for a learning rate instead of training.
    """
    import lightning as L
    from hydra.utils import instantiate

    from sapiens_lab.training.accumulation import accumulate
    from sapiens_lab.training.malloc import keep_freed_memory

    _check_sweep(config)
    main_process = is_main_process()
    if config.limit_scale is not None:
        set_limit_scale(config.limit_scale)
    if main_process:
        _record(config, run_folder())
    silence()
    L.seed_everything(config.seed, workers=True, verbose=False)
    datamodule = instantiate(config.data, _convert_="all")
    for split in ("train", "val") if config.ckpt_path is None else ("test",):
        datamodule.dataset(split)
    if main_process and config.ckpt_path is None:
        _examine(config, datamodule)
    plan = {"scheduler": None} if find_lr else {}  # the rate follows no schedule
    learner = instantiate(config.learner, _convert_="all", **plan)
    names = learner.task.metric_names()
    check_monitor(config.monitor, names)
    check_logged(config.log_metrics, names)
    if config.weights is not None:
        from sapiens_lab.weights.description import output_aliases, output_names
        from sapiens_lab.weights.load import load_weights

        task = learner.task.metadata()
        report = load_weights(
            learner.model,
            config.weights,
            head=config.head_init,
            outputs=output_names(task),
            aliases=output_aliases(task),
        )
        log.info("%s", report)
        learner.origin, learner.license = report.source, report.license
    instantiate(config.tune)(learner.model)
    trainer = _trainer(config, learner.model, find_lr=find_lr)
    if datamodule.is_auto:
        _find_batch_size(config, learner, datamodule, trainer)
    if config.effective_batch is not None:
        accumulate(
            trainer, batch_size=datamodule.batch_size, effective_batch=config.effective_batch
        )
    keep_freed_memory(trainer.strategy.root_device.type)
    return learner, datamodule, trainer


@contextlib.contextmanager
def passing_interrupts(trainer: Any) -> Iterator[None]:
    """Pass signals on, which Lightning answers by ending the process with status 1 or 0."""
    try:
        yield
    except BaseException as error:
        _end_processes(getattr(trainer.strategy.launcher, "procs", []))
        number = signals.requested()
        if number is None and isinstance(error, SystemExit) and trainer.interrupted:
            number = signal.SIGINT
        if number is not None:  # whatever else failed on the way out is of no interest
            raise signals.Stopped(number) from None
        raise


def _end_processes(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the processes of a run on several devices."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _examine(config: DictConfig, datamodule: Any) -> None:
    """Look for faults in the data, once for every state of them."""
    if config.doctor == "off":
        return
    from sapiens_lab.data.examination.before_fit import examine_before_fit

    datamodule.check_splits()
    examine_before_fit(
        {split: datamodule.dataset(split) for split in ("train", "val")},
        mode=config.doctor,
        settings=[OmegaConf.to_container(config.data[s], resolve=True) for s in ("train", "val")],
        on_error=datamodule.on_error,
    )


def _find_batch_size(config: DictConfig, learner: Any, datamodule: Any, trainer: Any) -> None:
    """Replace ``data.batch_size=auto`` by a number, in the run's files too: it may be continued."""
    from sapiens_lab.training import batch_size

    found = batch_size.choose_batch_size(learner, datamodule, trainer)
    datamodule.use_batch_size(found)
    config.data.batch_size = found
    folder = run_folder()
    others = [w for w in typed_overrides() if runs.override_key(w) != "data.batch_size"]
    runs.replan_run(folder, [*others, f"data.batch_size={found}"])
    trust.sign_run(folder / runs.OVERRIDES_FILE)
    runs.record_run(config, folder)


def _trainer(config: DictConfig, model: Any, *, find_lr: bool) -> Any:
    """Build the trainer with its callbacks and loggers."""
    from hydra.utils import instantiate

    if find_lr:
        return _finding_trainer(config, model)
    objects = {  # `callbacks.sample_grid=null` switches one off
        name: [
            o for o in instantiate(config[name] or {}, _convert_="all").values() if o is not None
        ]
        for name in ("callbacks", "logger")
    }
    if config.extend is not None:
        from sapiens_lab.training.callbacks.extension import Extension

        objects["callbacks"].append(Extension(num_epochs=config.extend))
    if is_main_process():
        objects["callbacks"].append(_introduction(config, model))
    return instantiate(config.trainer, _convert_="all", **objects)


def _finding_trainer(config: DictConfig, model: Any) -> Any:
    """Build a trainer that looks for a learning rate and keeps nothing else."""
    from hydra.utils import instantiate

    from sapiens_lab.training.callbacks.find_lr import FindLearningRate
    from sapiens_lab.training.callbacks.progress import ProgressBar

    lr = config.optimizer.get("lr")
    if lr is None:
        raise ValueError("find_lr=true needs optimizer.lr, which the optimizer's config lacks")
    find = FindLearningRate(folder=str(run_folder()), lr=lr)
    callbacks = [find, ProgressBar()]
    if is_main_process():
        callbacks.append(_introduction(config, model))
    return instantiate(
        config.trainer,
        _convert_="all",
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        max_epochs=-1,
        max_steps=find.num_steps,
        max_time=None,
        limit_val_batches=0,
    )


def _introduction(config: DictConfig, model: Any) -> Callback:
    """Return a callback that says what runs, once nothing can be refused any more."""
    from lightning.pytorch.callbacks import LambdaCallback

    def introduce(*_: Any) -> None:
        if config.print_config:
            print_config(config)
        else:
            print_summary(config, HydraConfig.get())

    def introduce_training(*_: Any) -> None:
        introduce()
        _describe(config, model)

    return LambdaCallback(on_fit_start=introduce_training, on_test_start=introduce)


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


def _record(config: DictConfig, folder: Path) -> None:
    is_continued = config.resume is not None and (folder / runs.OVERRIDES_FILE).exists()
    if not is_continued:
        runs.claim_run(folder, typed_overrides())
    own(folder)
    if is_continued and config.extend is not None:
        runs.replan_run(folder, typed_overrides())
    if not is_continued or config.extend is not None:
        trust.sign_run(folder / runs.OVERRIDES_FILE)
        runs.record_run(config, folder)
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        remove_leftovers(place)


def run_folder() -> Path:
    """Return the folder of the run in progress."""
    return Path(HydraConfig.get().runtime.output_dir)


def typed_overrides() -> list[str]:
    """Return the overrides of the run in progress; ``${...}`` in them stays as it was typed."""
    words = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(words, list)
    return [str(word) for word in words]


def silence() -> None:
    """Drop messages of libraries that a user of ours cannot act on."""
    logging.getLogger("lightning.pytorch").handlers.clear()  # Hydra's handlers print its messages
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # data.num_workers is chosen by the number of cores
        ".*smaller than the logging interval.*",  # the epoch's metrics are logged all the same
        ".*LeafSpec.*deprecated.*",  # between Lightning and torch
        ".*module\\(s\\) in eval mode at the start of training.*",  # frozen blocks are meant to be
        ".*your dataloader is not resumable.*",  # our DataModule is, see its state_dict
        ".*Checkpoint directory .* exists and is not empty.*",  # a continued run's own
        r".*add the following callbacks: \[\"EarlyStopping\{[^}]*\}\"\].*",  # early_stopping=null
        ".*sync_dist=True.*",  # what the learner logs is already of all processes
    ):
        warnings.filterwarnings("ignore", message=message)
