"""A schedule of the masking ratio for masked pretraining."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import Callback

from sapiens_lab.data.sample import Batch
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.masking import RandomMasking
from sapiens_lab.ranges import Within


class MaskingSchedule(Callback):
    """Change the fraction of masked patches linearly over a run of masked pretraining.

    Validation keeps the ratio of the config, so that its losses can be compared.

    Args:
        start: masking ratio of the first step.
        end: masking ratio of the last step.

    Raises:
        ValueError: a fraction does not lie between 0 and 1.
    """

    def __init__(self, *, start: Within, end: Within) -> None:
        self.start, self.end = (RandomMasking(ratio).low for ratio in (start, end))
        self._configured: tuple[float, float] | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember the ratio of the config.

        Raises:
            ValueError: the model is not a masked autoencoder.
        """
        masking = self._masking(pl_module)
        self._configured = (masking.low, masking.high)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Set the ratio of this step."""
        done = trainer.global_step / max(1, int(trainer.estimated_stepping_batches) - 1)
        ratio = self.start + (self.end - self.start) * min(done, 1.0)
        self._masking(pl_module).fix(ratio)
        pl_module.log("masking_ratio", ratio, batch_size=1)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Go back to the ratio of the config."""
        masking = self._masking(pl_module)
        if self._configured is not None:
            masking.low, masking.high = self._configured

    def _masking(self, module: L.LightningModule) -> RandomMasking:
        model = module.model
        if not isinstance(model, MaskedAutoencoder):
            raise ValueError("callbacks=masking_schedule: only pretraining masks patches")
        return model.masking
