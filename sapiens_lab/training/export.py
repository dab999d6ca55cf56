"""What a run leaves for others: weights and a description that ``load_model`` reads back."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from sapiens_lab.data.crops import Resize
from sapiens_lab.data.datamodule import DataModule
from sapiens_lab.data.transforms import ExpandBox
from sapiens_lab.training.learner import Learner
from sapiens_lab.training.lora import lora_scale, merge_lora
from sapiens_lab.weights.model import save_model
from sapiens_lab.weights.reading import read_content

log = logging.getLogger(__name__)


class Export(Callback):
    """At the end of training, write the best weights as ``model.safetensors`` + ``config.json``.

    Args:
        folder: receives both files.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)

    @rank_zero_only
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the export."""
        assert isinstance(pl_module, Learner)
        datamodule = trainer.datamodule  # type: ignore[attr-defined]  # set by the Trainer
        card = {**pl_module.task.card(), **frame_of(datamodule), **pl_module.origin}
        state = _best_state(trainer) or pl_module.model.state_dict()
        if (scale := lora_scale(pl_module.model)) is not None:
            state = merge_lora(state, scale=scale)
        save_model(pl_module.model, self.folder, task=card, state=state)
        log.info("exported for load_model and weights=: %s", self.folder)


def frame_of(data: DataModule) -> dict[str, Any]:
    """Say how the evaluation lays an image into the input, as plain values."""
    steps = data.transforms("eval")
    if any(isinstance(step, Resize) for step in steps):
        return {"frame": "stretch"}  # the whole image, whatever its aspect
    padding = [step.factor for step in steps if isinstance(step, ExpandBox)]
    return {"frame": "box", "box_padding": padding[0] if padding else 1.0}


def _best_state(trainer: L.Trainer) -> dict[str, torch.Tensor] | None:
    """Return the model's tensors of the best checkpoint, or nothing where none was chosen."""
    for callback in trainer.checkpoint_callbacks:
        path = getattr(callback, "best_model_path", "")
        if isinstance(callback, ModelCheckpoint) and callback.monitor and path:
            state = read_content(Path(path))["state_dict"]
            return {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    return None
