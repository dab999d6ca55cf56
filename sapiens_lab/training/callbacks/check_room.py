"""Whether the disk has room for what a run will keep."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from sapiens_lab.atomic import WriteError, file_limit, free_bytes, size
from sapiens_lab.training.callbacks.ema import EMA, averaged_tensors
from sapiens_lab.training.learner import Learner

log = logging.getLogger(__name__)


class CheckRoom(Callback):
    """Before training, estimate the room for checkpoints and the export; refuse too little.

    A checkpoint to continue from holds the parameters and the two moments of those that are
    trained, and these once more where they are averaged; one of weights holds the parameters. One
    more of each exists while it is replaced.

    Args:
        folder: of the run.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self._said = ""

    @rank_zero_only
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare what is needed with what is free.

        Raises:
            WriteError: the disk has less.
        """
        assert isinstance(pl_module, Learner)
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        needed = estimate(pl_module.model, callbacks)
        largest = weights_bytes(pl_module.model) + state_bytes(pl_module.model, callbacks)
        if (limit := file_limit()) is not None and largest > limit:
            raise WriteError(
                f"a checkpoint of this run needs about {size(largest)} and a file may have "
                f"{size(limit)} here, so {size(largest - limit)} are missing: raise `ulimit -f`",
                errno.EFBIG,
            )
        there = sum(path.stat().st_size for path in self.folder.rglob("*.ckpt"))  # are replaced
        free = free_bytes(self.folder)
        if needed - there > free:
            raise WriteError(
                f"the checkpoints of this run need about {size(needed)} and the disk of "
                f"{self.folder} has {size(free)} free, so {size(needed - there - free)} are "
                "missing. Free some, choose another disk (output_root=PATH) or keep fewer "
                "(callbacks.best.save_top_k); callbacks.check_room=null tries all the same",
                errno.ENOSPC,
            )
        self._said = f"checkpoints and export: about {size(needed)}; {size(free)} are free"

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say so, below what runs."""
        if self._said:
            log.info("%s", self._said)


def estimate(model: nn.Module, callbacks: Sequence[Callback]) -> int:
    """Return about how many bytes the checkpoints and the export of a run take."""
    weights, state = weights_bytes(model), state_bytes(model, callbacks)
    total = weights  # the export
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):
            kept = max(1, callback.save_top_k)
            each = weights if callback.save_weights_only else weights + state
            total += (kept + 1) * each
    return total


def weights_bytes(model: nn.Module) -> int:
    """Return the size of a file of the model's weights."""
    return sum(int(tensor.nbytes) for tensor in model.state_dict().values())


def state_bytes(model: nn.Module, callbacks: Iterable[Callback]) -> int:
    """Return the size of what a state holds besides the weights: moments, and raw weights."""
    averaged = averaged_tensors(model) if any(isinstance(c, EMA) for c in callbacks) else {}
    return moments_bytes(model) + sum(int(tensor.nbytes) for tensor in averaged.values())


def moments_bytes(model: nn.Module) -> int:
    """Return the size of the two moments that AdamW keeps of what is trained."""
    return 2 * sum(int(p.nbytes) for p in model.parameters() if p.requires_grad)
