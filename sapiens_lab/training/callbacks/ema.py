"""A moving average of the weights, which is what is validated, kept and exported.

Lightning's ``WeightAveraging`` leaves the raw weights out of the last checkpoint, so that a
continued run is another one, and copies the frozen weights; timm's ``ModelEmaV3`` copies them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from sapiens_lab.data.sample import Batch
from sapiens_lab.ranges import BelowOne
from sapiens_lab.training.learner import Learner


class EMA(Callback):
    """Average what is trained over the steps, as ``average = decay * average + (1 - decay) * new``.

    Of ``n`` averaged steps, the decay is at most ``(1 + n) / (10 + n)``: an average over more steps
    than there were would remember the random start. Validations see the averages; checkpoints and
    the export hold them in place of the weights. The state of a run also holds the weights.

    Args:
        decay: of each optimizer step; 0.999 averages over about 1000 steps.
    """

    def __init__(self, *, decay: BelowOne) -> None:
        self.decay = decay
        self._num_updates = 0
        self._step = 0  # the optimizer step of the last update
        self._averages: dict[str, Tensor] = {}
        self._raw: Mapping[str, Tensor] | None = None  # of the checkpoint that is continued
        self._model: nn.Module | None = None
        self._is_shown = False  # whether the model holds the averages, and `_averages` the weights

    def state_dict(self) -> dict[str, Any]:
        """Return the weights that are trained; the averages are those of the checkpoint's model."""
        if self._model is None:
            return {"raw": {}, "num_updates": 0}
        raw = self._averages if self._is_shown else averaged_tensors(self._model)
        detached = {name: tensor.detach() for name, tensor in raw.items()}
        return {"raw": detached, "num_updates": self._num_updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep them until the model has been loaded."""
        self._raw, self._num_updates = state_dict["raw"], state_dict["num_updates"]

    @torch.no_grad()
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin with the model's weights; of a continued run these are the averages.

        Raises:
            ValueError: other weights are trained than in the run that is continued.
        """
        assert isinstance(pl_module, Learner)
        self._model, self._step = pl_module.model, trainer.global_step
        tensors = averaged_tensors(pl_module.model)
        self._averages = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        if self._raw:
            if self._raw.keys() != tensors.keys():
                raise ValueError(
                    f"the run that is continued averaged {len(self._raw)} tensors, this one has "
                    f"{len(tensors)}: give the same `tune=` and model as before"
                )
            for name, tensor in tensors.items():
                tensor.copy_(self._raw[name])
        self._raw = None
        pl_module.averages = self._averages

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Average after every optimizer step."""
        assert isinstance(pl_module, Learner)
        if trainer.global_step == self._step:
            return  # gradients are still accumulated
        self._step = trainer.global_step
        self._num_updates += 1
        n = self._num_updates
        decay = min(self.decay, (1 + n) / (10 + n))
        new = averaged_tensors(pl_module.model)
        torch._foreach_lerp_(list(self._averages.values()), list(new.values()), 1 - decay)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Validate the averages."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._show(pl_module, True)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Go back to the weights; checkpoints are saved after this."""
        self._show(pl_module, False)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Go back to the weights where a validation was interrupted."""
        self._show(pl_module, False)

    def _show(self, learner: L.LightningModule, is_shown: bool) -> None:
        """Let model and averages change places, without copying."""
        assert isinstance(learner, Learner)
        if self._model is None or is_shown == self._is_shown:
            return
        for name, tensor in averaged_tensors(self._model).items():
            tensor.data, self._averages[name] = self._averages[name], tensor.data
        self._is_shown = is_shown
        learner.averages = {} if is_shown else self._averages


def ema(*, decay: BelowOne | None) -> EMA | None:
    """Return the callback, or none where ``decay`` is ``None``."""
    return None if decay is None else EMA(decay=decay)


def averaged_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return what is averaged: trained parameters, and running statistics."""
    kept = model.state_dict(keep_vars=True)
    return {
        name: tensor
        for name, tensor in kept.items()
        if tensor.is_floating_point()
        and (tensor.requires_grad or not isinstance(tensor, nn.Parameter))
    }
