"""The export of a run: weights and a description that ``load_model`` reads back."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from sapiens_lab.models.lora import lora_scale, merge_lora
from sapiens_lab.training.learner import Learner
from sapiens_lab.weights.model import save_model
from sapiens_lab.weights.reading import read_content

log = logging.getLogger(__name__)

_PREDICT = "sapiens predict IMAGES --weights {} --out predictions"
_USES = {  # the command that shows what a model of the task does
    **dict.fromkeys(("pose", "segmentation", "depth", "normal", "multitask"), _PREDICT),
    "pretrain": "sapiens reconstruct {} IMAGE",
}


class Export(Callback):
    """At the end of training, write the best weights as ``model.safetensors`` + ``config.json``.

    Args:
        folder: receives both files.
    """

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse before training what could not be written after it.

        Raises:
            ValueError: a part of the model cannot say how it is built.
        """
        assert isinstance(pl_module, Learner)
        if pl_module.description().model is None:
            raise ValueError(
                f"{type(pl_module.model).__name__} has no `spec()`, so it cannot be exported: see "
                "docs/adding.md, or train without an export (callbacks.export=null)"
            )

    @rank_zero_only
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the export."""
        assert isinstance(pl_module, Learner)
        description = pl_module.description()
        state = _best_state(trainer) or pl_module.model_state()
        if (scale := lora_scale(pl_module.model)) is not None:
            state = merge_lora(state, scale=scale)
        save_model(
            pl_module.model,
            self.folder,
            task=description.task,
            input=description.input,
            origin=description.origin,
            license=description.license,
            state=state,
        )
        log.info("exported for load_model and weights=: %s", self.folder)
        if command := _USES.get(description.task_name):
            log.info("use it: %s", command.format(shlex.quote(_relative(self.folder))))


def _best_state(trainer: L.Trainer) -> dict[str, torch.Tensor] | None:
    """Return the model's tensors of the best checkpoint, or nothing where none was chosen."""
    for callback in trainer.checkpoint_callbacks:
        path = getattr(callback, "best_model_path", "")
        if isinstance(callback, ModelCheckpoint) and callback.monitor and path:
            state = read_content(Path(path))["state_dict"]
            return {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    return None


def _relative(path: Path) -> str:
    """Shorten a path below the working directory, as people paste it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
