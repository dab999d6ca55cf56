"""The training loop of every task, as one LightningModule."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from sapiens_lab.data.sample import Batch
from sapiens_lab.ranges import Whole
from sapiens_lab.tasks.task import Task
from sapiens_lab.training.metadata import describe_run
from sapiens_lab.training.processes import gather
from sapiens_lab.weights.description import KEY, Description

log = logging.getLogger(__name__)

MAX_SKIPPED = 10  # steps in a row without a finite gradient, until a run gives up


class Learner(L.LightningModule):
    """Fit a model to a task.

    Args:
        model: images ``(B, 3, H, W)`` uint8 -> the output that the task understands.
        task: loss, meaning and metrics of the output.
        optimizer: called with the model.
        scheduler: called with the optimizer and ``num_steps``; steps after every batch.
        seed: of what the model draws in training (dropout, masks).
        compile: run the model through ``torch.compile``; checkpoints stay the same.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        task: Task,
        optimizer: Callable[[nn.Module], Optimizer],
        scheduler: Callable[..., LRScheduler] | None = None,
        seed: Whole = 0,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.seed = seed
        self.origin: str | None = None  # the weights from which training started
        self.license: str | None = None  # of those weights
        # Lightning's own mean over processes rounds down the number of samples.
        self._means: dict[str, MeanMetric] = {}
        self._num_samples = 0  # of this evaluation, in this process
        self._dropped: list[int] = []
        self.undefined: dict[str, str] = {}  # metrics that the last evaluation left out, and why
        self._skipped = 0  # steps in a row without a finite gradient
        self._samples: list[str] = []  # of the last training batch
        self.averages: Mapping[str, Tensor] = {}  # in place of the model's own, in what is saved
        self._make_optimizer, self._make_scheduler = optimizer, scheduler
        if compile:
            self.model.compile()

    def setup(self, stage: str) -> None:
        """Set up the task with its datasets."""
        datamodule = self.trainer.datamodule  # type: ignore[attr-defined]  # set by the Trainer
        limits = (self.trainer.limit_val_batches, self.trainer.limit_test_batches)
        partial = datamodule.limit is not None or limits != (1.0, 1.0)
        self.task.setup(
            train=datamodule.dataset("train") if stage == "fit" else None,
            val=datamodule.dataset("test" if stage == "test" else "val"),
            partial=partial,
        )

    def description(self) -> Description:
        """Return what checkpoints and exports say of the model.

        Raises:
            ValueError: a part of the model cannot say how it is built; names it.
        """
        data = getattr(self.trainer, "datamodule", None)
        return describe_run(self.model, self.task, data, origin=self.origin, license=self.license)

    # ---- steps -----------------------------------------------------------------------------------

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step by its number, so that a continued run draws what the first would have."""
        entropy = [self.seed, self.global_rank, self.trainer.global_step, batch_idx]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
        # Lightning counts logged steps one too high when a run continues in mid-epoch.
        self.trainer.fit_loop.epoch_loop._batches_that_stepped = self.trainer.global_step

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        self._samples = [meta.path for meta in batch.meta]
        terms = _with_total(self.task.compute_loss(self.model(batch.image), batch))
        for name, value in terms.items():
            shown = name == "loss"  # the terms would push the bar over several lines
            self.log(f"train/{name}", value.detach(), batch_size=len(batch), prog_bar=shown)
        return terms["loss"]

    def on_validation_batch_start(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Seed the batch by its number: random masks are the same in every evaluation."""
        entropy = [self.seed, self.global_rank, batch_idx]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    on_test_batch_start = on_validation_batch_start

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the predictions of a batch."""
        return {"predictions": self._evaluate(batch)}

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the predictions of a batch."""
        return {"predictions": self._evaluate(batch)}

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation set."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test set."""
        self._log_metrics("test")

    def _evaluate(self, batch: Batch) -> Sequence[Any]:
        self._num_samples += len(batch)
        self._dropped += batch.dropped
        if len(batch) == 0:
            return []
        output = self.model(batch.image)
        for name, value in _with_total(self.task.compute_loss(output, batch)).items():
            self._mean(name).update(value, weight=len(batch))
        if self.task.flip_test:
            output = self.task.average_flipped(output, self.model(batch.image.flip(-1)))
        predictions = self.task.predict(output, batch)
        self.task.update_metrics(predictions, batch)
        return predictions

    def _mean(self, name: str) -> MeanMetric:
        return self._means.setdefault(name, MeanMetric().to(self.device))

    def _leave_out_dropped(self, stage: str) -> int:
        """Count the samples that were dropped; return the number of those that were not.

        Raises:
            ValueError: there was none.
        """
        evaluated = sum(gather(self._num_samples))
        dropped = [index for indices in gather(self._dropped) for index in indices]
        self._num_samples, self._dropped = 0, []
        self.task.leave_out(dropped)
        if evaluated == 0 and not self.trainer.sanity_checking:
            raise ValueError(
                f"none of the {len(dropped)} samples of the {stage} set could be read; the "
                "warnings above name them"
            )
        if dropped and self.trainer.is_global_zero:
            log.warning(
                "%s: %d of %d samples were left out; the warnings above name them",
                stage, len(dropped), evaluated + len(dropped),
            )  # fmt: skip
        return evaluated

    def _log_metrics(self, stage: str) -> None:
        """Log what was measured; it is already summed over processes, so all log the same."""
        if self._leave_out_dropped(stage) == 0:
            return
        for name in dict.fromkeys(name for names in gather(list(self._means)) for name in names):
            # A process without a sample takes part in the mean all the same.
            self._mean(name).update(0.0, weight=0.0)
        losses = {name: mean.compute() for name, mean in self._means.items()}
        self._means.clear()
        metrics, self.undefined = self.task.compute_metrics()
        self.log_dict({f"{stage}/{name}": value for name, value in (losses | metrics).items()})

    # ---- divergence ------------------------------------------------------------------------------

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip, and skip a step whose gradient is not finite.

        Gradients are averaged over processes by now, so all of them skip the same step.

        Raises:
            FloatingPointError: too many steps in a row; the weights are still those from before.
        """
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm=float("inf"))
        self._log_norms(norm)
        if bool(torch.isfinite(norm)):
            self._skipped = 0
            self.clip_gradients(
                optimizer,
                gradient_clip_val=gradient_clip_val,
                gradient_clip_algorithm=gradient_clip_algorithm,
            )
            return
        for parameter in parameters:
            parameter.grad = None  # the optimizer leaves it, its moments and its decay alone
        self._skipped += 1
        step, shown = self.trainer.global_step, ", ".join(self._samples[:4])
        log.warning(
            "step %d skipped: the gradient's norm is %s; its samples: %s, ...",
            step,
            float(norm),
            shown,
        )
        if self._skipped >= MAX_SKIPPED:
            raise FloatingPointError(
                f"{MAX_SKIPPED} steps in a row had no finite gradient, the last of them step "
                f"{step}. The weights are from before; last.ckpt holds them. Lower optimizer.lr, "
                "lengthen scheduler.warmup, or look at the samples named above"
            )

    def _log_norms(self, gradient: Tensor) -> None:
        """Log the norm of the gradient before clipping, and that of what is trained."""
        if (self.trainer.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            norms = [p.detach().norm() for p in self.model.parameters() if p.requires_grad]
            self.log("train/grad_norm", gradient, batch_size=1)
            self.log("train/param_norm", torch.stack(norms).norm(), batch_size=1)

    # ---- optimizer and checkpoint ----------------------------------------------------------------

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and, where there is one, the schedule over the whole run."""
        optimizer = self._make_optimizer(self.model)
        if self._make_scheduler is None:
            return optimizer
        num_steps = int(self.trainer.estimated_stepping_batches)
        scheduler = self._make_scheduler(optimizer, num_steps=num_steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write down how the model is built and what it was trained for."""
        checkpoint[KEY] = self.description().to_dict()
        averages = {f"model.{name}": tensor for name, tensor in self.averages.items()}
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **averages}

    def model_state(self) -> dict[str, Tensor]:
        """Return the tensors of the model as they are saved: averaged where they are averaged."""
        return {**self.model.state_dict(), **self.averages}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that were trained for something else.

        Raises:
            ValueError: the checkpoint's skeleton or classes are not this task's.
        """
        meaning = checkpoint.get(KEY, {}).get("task", {}).get("meaning", {})
        for name, ours in self.task.meaning().items():
            theirs = meaning.get(name, ours)
            if theirs != ours:
                raise ValueError(
                    f"the checkpoint was trained for another {name}: it has {_short(theirs)}, "
                    f"this run has {_short(ours)}. Give the same `{name}=` as in training to "
                    "evaluate or continue it, or start from its weights with `weights=PATH`, "
                    "which makes a new last layer"
                )


def _with_total(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``loss``, the sum of the terms, and beside it the terms if there are several."""
    total = torch.stack(list(terms.values())).sum()
    named = {f"loss_{name}": value for name, value in terms.items()} if len(terms) > 1 else {}
    return {"loss": total, **named}


def _short(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"{len(value)} ({', '.join(map(str, value[:3]))}, ...)"
    return str(value)
