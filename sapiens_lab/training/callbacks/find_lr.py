"""A learning-rate range test (Smith, "Cyclical learning rates", WACV 2017).

Lightning's finder gives all groups of the optimizer one rate; here they keep their ratios, which
layer decay sets, so that the suggestion is one for ``optimizer.lr``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from torch import Tensor

from sapiens_lab.atomic import write_text
from sapiens_lab.data.sample import Batch
from sapiens_lab.ranges import Count, Positive
from sapiens_lab.visualize.curve import curve
from sapiens_lab.visualize.image import write_image

_SMOOTHING = 0.9  # of the losses, in a moving average
_DIVERGED = 4.0  # times the lowest loss ends the test
_FIRST = 15  # steps whose average is still of a few batches: they neither end nor suggest
_WINDOW = 15  # steps of a slope


class FindLearningRate(Callback):
    """Raise the learning rate exponentially over a short run; suggest where the loss falls fastest.

    Args:
        folder: receives ``find_lr.csv`` and ``find_lr.png``.
        lr: the ``optimizer.lr`` of the config.
        start: the first rate.
        end: the last rate.
        num_steps: of the test.
    """

    def __init__(
        self,
        *,
        folder: str,
        lr: Positive,
        start: Positive = 1e-6,
        end: Positive = 1.0,
        num_steps: Count = 100,
    ) -> None:
        self.folder, self.lr = Path(folder), lr
        self.start, self.end, self.num_steps = start, end, num_steps
        self.suggestion: float | None = None
        self._factors: list[float] = []  # of each group of the optimizer
        self._rates: list[float] = []  # of each batch
        self._losses: list[float] = []  # of each batch, smoothed

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note by how much the rate of each group differs from that of the config."""
        groups = trainer.optimizers[0].param_groups
        self._factors = [group["lr"] / self.lr for group in groups]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Raise the rate."""
        rate = self._rate(trainer.global_step)
        self._rates.append(rate)
        for group, factor in zip(trainer.optimizers[0].param_groups, self._factors, strict=True):
            group["lr"] = rate * factor

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Note the loss; stop where it has diverged."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        assert isinstance(loss, Tensor)
        value, n = float(loss.detach()), len(self._losses)
        before = self._losses[-1] * (1 - _SMOOTHING**n) if n else 0.0
        smooth = (_SMOOTHING * before + (1 - _SMOOTHING) * value) / (1 - _SMOOTHING ** (n + 1))
        self._losses.append(smooth)
        is_worse = smooth > _DIVERGED * min(self._losses) and n >= _FIRST
        if is_worse or not math.isfinite(value):
            trainer.should_stop = True

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table and the image, and print the suggestion."""
        if not trainer.is_global_zero:
            return
        losses = [loss for loss in self._losses if math.isfinite(loss)]
        rates = self._rates[: len(losses)]
        write_text(self.folder / "find_lr.csv", _table(rates, losses))
        self.suggestion = suggest(rates, losses)
        image = curve(rates, losses, marked=self.suggestion, title="loss over learning rate")
        write_image(self.folder / "find_lr.png", image)
        say = Console(highlight=False).print
        if self.suggestion is None:
            say("no learning rate is suggested: the loss never fell; see find_lr.png")
        else:
            lowest = rates[losses.index(min(losses))]
            say(
                f"suggested: optimizer.lr={self.suggestion:.1e} (the loss falls fastest there; it "
                f"is lowest at {lowest:.1e}; the config has {self.lr:.1e})",
                soft_wrap=True,
            )
        say(
            f"written: {self.folder / 'find_lr.csv'}, {self.folder / 'find_lr.png'}", soft_wrap=True
        )

    def _rate(self, step: int) -> float:
        fraction = step / max(1, self.num_steps - 1)
        return float(self.start * (self.end / self.start) ** fraction)


def suggest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the rate at which a smoothed loss falls fastest; ``None`` if it never falls.

    Only what lies before the lowest loss counts, and the slope is taken over 15 steps: a loss that
    has begun to diverge goes up and down. The first 15 steps do not count.
    """
    last = min(range(len(losses)), key=lambda i: losses[i], default=0) - _WINDOW
    slopes = {i: losses[i + _WINDOW] - losses[i] for i in range(_FIRST, last + 1)}
    best = min(slopes, key=lambda i: slopes[i], default=None)
    return None if best is None or slopes[best] >= 0 else rates[best + _WINDOW // 2]


def _table(rates: Sequence[float], losses: Sequence[float]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["lr", "loss"])
    writer.writerows([f"{lr:.6g}", f"{loss:.6g}"] for lr, loss in zip(rates, losses, strict=True))
    return text.getvalue()
