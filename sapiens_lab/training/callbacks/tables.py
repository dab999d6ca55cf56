"""Metrics of every class and keypoint, and the confusion of classes, as images."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import nn

from sapiens_lab.metrics.pose import PCK
from sapiens_lab.metrics.segmentation import MeanIoU
from sapiens_lab.training.learner import Learner
from sapiens_lab.training.loggers import send_image
from sapiens_lab.visualize.bars import bars
from sapiens_lab.visualize.confusion import confusion
from sapiens_lab.visualize.image import RGBImage, write_image


class Tables(Callback):
    """After every validation, draw what was measured for each class or keypoint.

    The latest images lie in the folder; the loggers keep those of all validations.

    Args:
        folder: receives ``IoU.png`` and ``confusion.png``, ``PCK@0.1.png``.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the tables."""
        assert isinstance(pl_module, Learner)
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        for name, image in draw_tables(pl_module.task).items():
            write_image(self.folder / f"{name}.png", image)
            send_image(trainer, f"tables/{name}", image)

    on_test_end = on_validation_end


def draw_tables(task: nn.Module) -> dict[str, RGBImage]:
    """Return the images of a task's metrics, as they were last computed, by their names."""
    images: dict[str, RGBImage] = {}
    for metric in task.modules():
        if isinstance(metric, MeanIoU) and (table := metric.table()):
            images["IoU"] = bars("IoU", {score.name: score.IoU for score in table})
            assert metric.counts is not None
            images["confusion"] = confusion(metric.counts.numpy(), metric.classes)
        elif isinstance(metric, PCK) and metric.per_keypoint:
            [name] = metric.names
            images[name] = bars(name, metric.per_keypoint)
    return images
