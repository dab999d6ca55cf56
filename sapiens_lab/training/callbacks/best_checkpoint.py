"""The checkpoint of the best validation."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from sapiens_lab.atomic import link_file
from sapiens_lab.ranges import Range
from sapiens_lab.training.learner import Learner

log = logging.getLogger(__name__)

_EACH = "epoch_{epoch:04d}_step_{step:06d}"  # where several are kept
Mode = Literal["min", "max"]
TopK = Annotated[int, Range(low=-1)]  # -1 keeps all


class BestCheckpoint(ModelCheckpoint):
    """Keep the checkpoint of the best validation; of equal ones, the later.

    As long as the monitored metric says nothing, because it is undefined or a score that is to be
    maximized is 0, ``fallback`` chooses: AP is 0 in every validation of a short run, and the first
    would be kept. ``monitor`` and ``mode`` are those that chose the checkpoint.

    Several kept checkpoints are named ``epoch_0007_step_001234.ckpt``; that of the best has
    ``filename`` as a second name.

    Args:
        dirpath: folder of the checkpoint.
        monitor: name of the metric, ``val/...``.
        mode: whether the metric is minimized or maximized.
        fallback: name of a metric that is minimized.
        filename: of the best, without ``.ckpt``.
        save_top_k: how many checkpoints to keep; -1 keeps all.
        save_weights_only: leave out what only a continued run needs.
    """

    def __init__(
        self,
        *,
        dirpath: str,
        monitor: str,
        mode: Mode,
        fallback: str = "val/loss",
        filename: str = "best",
        save_top_k: TopK = 1,
        save_weights_only: bool = True,
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename=filename if save_top_k in (0, 1) else _EACH,
            auto_insert_metric_name=False,  # `=` in a name breaks overrides
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            save_weights_only=save_weights_only,
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )
        self.fallback = fallback
        self._asked: tuple[str, Mode] = (monitor, mode)
        self._is_asked = True  # whether `monitor` is the metric that was asked for
        self._link = None if save_top_k in (0, 1) else Path(dirpath) / f"{filename}.ckpt"
        self._replaced: list[str] = []  # checkpoints that another metric had chosen

    @property
    def state_key(self) -> str:
        """Name of this callback in a checkpoint, the same before and after a fallback."""
        monitor, mode = self._asked
        return f"{type(self).__name__}({monitor}, {mode})"

    @property
    def fell_back_from(self) -> str | None:
        """The metric that was asked for, where another one chose the checkpoint."""
        return None if self._is_asked else self._asked[0]

    @property
    def score(self) -> float | None:
        """Best value of the metric that was asked for; ``None`` where it is never defined."""
        if not self._is_asked:
            return 0.0 if self._asked[1] == "max" else None
        return None if self.best_model_score is None else float(self.best_model_score)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Decide which metric chooses, and save where it chooses this validation.

        Raises:
            ValueError: no metric has the monitored name.
        """
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        assert isinstance(pl_module, Learner)
        value = trainer.callback_metrics.get(self._asked[0])
        if value is None:
            self._check_name(trainer, pl_module)
        if is_informative(value, self._asked[1]):
            self._choose_by(*self._asked, asked=True)
        elif self.best_model_score is None and self.fallback != self._asked[0]:
            self._choose_by(self.fallback, "min", asked=False)
        if self.monitor in trainer.callback_metrics:
            super().on_validation_end(trainer, pl_module)
            if self._link is not None and self.best_k_models:
                self._name_best(trainer, self._link)

    def _name_best(self, trainer: L.Trainer, link: Path) -> None:
        """Give the best of several its second name; delete those of a metric that chose before."""
        choose = min if self.mode == "min" else max
        later_first = list(reversed(self.best_k_models))
        self.best_model_path = choose(later_first, key=lambda path: self.best_k_models[path])
        if trainer.is_global_zero:
            link_file(Path(self.best_model_path), link)
        for path in set(self._replaced) - set(self.best_k_models):
            trainer.strategy.remove_checkpoint(path)
        self._replaced = []

    def _monitor_candidates(self, trainer: L.Trainer) -> dict[str, Tensor]:
        """Count epochs from 1 in names, as everywhere else."""
        candidates: dict[str, Tensor] = super()._monitor_candidates(trainer)
        return {**candidates, "epoch": candidates["epoch"] + 1}

    def check_monitor_top_k(self, trainer: L.Trainer, current: Tensor | None = None) -> bool:
        """Return whether a value is among the best; an equal one is, since it is the later."""
        is_full = 0 < self.save_top_k <= len(self.best_k_models)
        if current is not None and is_full:
            is_equal = bool(current == self.best_k_models[self.kth_best_model_path])
            if trainer.strategy.reduce_boolean_decision(is_equal):
                return True
        return bool(super().check_monitor_top_k(trainer, current))

    def state_dict(self) -> dict[str, Any]:
        """Return what a continued run needs, plain values and tensors."""
        return {**super().state_dict(), "is_asked": self._is_asked}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the metric that chose so far."""
        super().load_state_dict(state_dict)
        self._is_asked = state_dict["is_asked"]
        self.monitor, self.mode = self._asked if self._is_asked else (self.fallback, "min")

    def _choose_by(self, monitor: str, mode: Mode, *, asked: bool) -> None:
        """Let another metric choose from now on; the checkpoint so far gives way to the next."""
        if self.monitor == monitor:
            return
        log.info("best checkpoint: chosen by %s from now on, not by %s", monitor, self.monitor)
        self.monitor, self.mode, self._is_asked = monitor, mode, asked
        self._replaced = list(self.best_k_models)
        self.best_k_models, self.kth_best_model_path, self.best_model_score = {}, "", None
        self.kth_value = torch.tensor(math.inf if mode == "min" else -math.inf)

    def _check_name(self, trainer: L.Trainer, learner: Learner) -> None:
        monitor = self._asked[0]
        if monitor.removeprefix("val/") in learner.undefined:
            return
        known = sorted(name for name in trainer.callback_metrics if name.startswith("val/"))
        raise ValueError(
            f"monitor={monitor}: there is no such metric. Those of this run are {', '.join(known)}"
        )


def is_informative(value: Tensor | None, mode: Mode) -> bool:
    """Return whether a metric says something: it is defined, and no score of 0."""
    if value is None or not bool(torch.isfinite(value)):
        return False
    return mode == "min" or bool(value != 0)
