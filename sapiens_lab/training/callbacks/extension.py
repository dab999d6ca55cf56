"""A finished run goes on: its learning rate follows the new plan from the first step."""

from __future__ import annotations

import logging

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import LambdaLR

from sapiens_lab.ranges import Count

log = logging.getLogger(__name__)


class Extension(Callback):
    """Set the learning rate to that of the longer schedule, and say so.

    The checkpoint holds the last rate of the shorter schedule, which is 0 at the end of a cosine.

    Args:
        num_epochs: by which the run is longer than it was.
    """

    def __init__(self, *, num_epochs: Count) -> None:
        self.num_epochs = num_epochs

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Set the rate of the first step.

        Raises:
            ValueError: the schedule cannot be planned again.
        """
        total, steps = trainer.max_epochs or 0, int(trainer.estimated_stepping_batches)
        said = f"extended by {self.num_epochs} epochs to {total}"
        if not trainer.lr_scheduler_configs:
            log.info("%s; the learning rate stays as it is", said)
            return
        scheduler = trainer.lr_scheduler_configs[0].scheduler
        if not isinstance(scheduler, LambdaLR):
            raise ValueError(
                f"extend={self.num_epochs}: a {type(scheduler).__name__} cannot be planned again; "
                "the schedules of configs/scheduler can. weights=PATH starts a new run instead"
            )
        before = max(group["lr"] for group in scheduler.optimizer.param_groups)
        rows = zip(
            scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
        )
        for group, base, factor in rows:
            group["lr"] = base * factor(scheduler.last_epoch)
        after = max(group["lr"] for group in scheduler.optimizer.param_groups)
        log.info(
            "%s: the schedule is planned again over %d steps, of which %d are done, so the "
            "learning rate goes on at %.3g (it was %.3g)",
            said,
            steps,
            trainer.global_step,
            after,
            before,
        )
