"""Is pretraining learning anything of use?  A light probe of the encoder, every few epochs.

The loss of masked pretraining says how well gaps are filled, not how good the features are. A probe
asks the features for what they will be used for: a ridge regression from every patch's features, of
the frozen encoder on whole images, to its body part or to the keypoints in it, fitted on a small
labeled set and measured on a held-out one. It is solved exactly and costs two passes over the set.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Protocol

import cv2
import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader

from sapiens_lab import geometry
from sapiens_lab.data.dataset import DatasetFactory
from sapiens_lab.data.loading import EpochSampler, TransformedDataset
from sapiens_lab.data.sample import Batch, Dropped, Sample, collate
from sapiens_lab.data.transforms import Transform
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.training.learner import Learner

log = logging.getLogger(__name__)

MAX_CLASSES = 256  # ids of a label map are bytes
IGNORED = 255
PCK_THRESHOLD = 0.1  # of the longer side of a person's box


class Probe(Callback):
    """Log ``val/probe_*`` beside the loss: mIoU and accuracy of parts, PCK of keypoints.

    What the labeled set has is probed. Numbers are of patches: finer than a patch no probe can
    see, so compare them between epochs and encoders of one patch size only.

    Args:
        train: makes the labeled set on which the probe is fitted.
        val: makes the one on which it is measured.
        transforms: named steps from a source image to the encoder's input, without chance.
        every_n_epochs: probe in these epochs, where they validate; and once before the first.
        batch_size: images at once in one process.
        limit: use only the first so many samples of either set.
        penalty: of the ridge, times the mean variance of a feature.
        root: unused here: where a config says once what both sets share.
    """

    def __init__(
        self,
        *,
        train: DatasetFactory,
        val: DatasetFactory,
        transforms: Mapping[str, Transform | None],
        every_n_epochs: int = 1,
        batch_size: int = 16,
        limit: int | None = None,
        penalty: float = 1e-3,
        root: str | None = None,
    ) -> None:
        if every_n_epochs < 1 or penalty <= 0:
            raise ValueError(
                f"probe: every_n_epochs={every_n_epochs} must be at least 1 and penalty={penalty} "
                "positive"
            )
        self.every_n_epochs, self.batch_size, self.penalty = every_n_epochs, batch_size, penalty
        self._factories = {"train": train, "val": val}
        self._transforms = [step for step in transforms.values() if step is not None]
        self._limit = limit
        self._datasets: dict[str, TransformedDataset] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Build the labeled sets and probe the encoder as it is.

        Raises:
            ValueError: the sets have neither part labels nor keypoints.
        """
        for split, make in self._factories.items():
            dataset = make()
            if trainer.is_global_zero:
                dataset.prepare(1)
            trainer.strategy.barrier("probe")
            self._datasets[split] = TransformedDataset(
                dataset, transforms=self._transforms, limit=self._limit
            )
            has_labels(self._datasets[split])
        if trainer.current_epoch == 0:
            found = "  ".join(f"{k} {v:.4g}" for k, v in self.measure(trainer, pl_module).items())
            log.info("before training: %s", found)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Fit, measure, log."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            numbers = self.measure(trainer, pl_module)
            pl_module.log_dict({f"val/{name}": value for name, value in numbers.items()})

    @torch.no_grad()
    def measure(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, float]:
        """Return the numbers of the encoder as it is; all processes return the same."""
        was_training = pl_module.training
        pl_module.eval()
        try:
            probes: list[PartProbe | KeypointProbe] = []
            for features, batch in self._passes("train", trainer, pl_module):
                if not probes:
                    probes += [PartProbe()] if "labels" in batch else []
                    probes += [KeypointProbe()] if "keypoints" in batch else []
                for probe in probes:
                    probe.fit(features, batch)
            solved = [probe.ridge.solve(self.penalty, trainer) for probe in probes]
            for features, batch in self._passes("val", trainer, pl_module):
                for probe, (weight, bias) in zip(probes, solved, strict=True):
                    probe.update(features.flatten(2).transpose(1, 2) @ weight + bias, batch)
        finally:
            pl_module.train(was_training)
        numbers: dict[str, float] = {}
        for probe in probes:
            numbers |= probe.compute(trainer)
        return numbers

    def _passes(
        self, split: str, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> Iterator[tuple[Tensor, Batch]]:
        """Give the features ``(B, D, h, w)`` float32 of this process's fraction of a set."""
        cv2.setNumThreads(1)
        dataset = self._datasets[split]
        sampler = EpochSampler(
            len(dataset), shuffle=False, rank=trainer.global_rank, world_size=trainer.world_size
        )
        loader: DataLoader[Sample | Dropped] = DataLoader(
            dataset,
            self.batch_size,
            sampler=sampler,
            collate_fn=collate,
            generator=torch.Generator(),  # leaves the one of training alone
        )
        assert isinstance(pl_module, Learner)
        model = pl_module.model
        assert isinstance(model, MaskedAutoencoder | Sapiens)
        for loaded in loader:
            batch: Batch = loaded.to(pl_module.device)
            with trainer.precision_plugin.forward_context():
                features = model.backbone(model.normalize(batch.image))
            yield features.float(), batch


class Ridge:
    """Least squares with a penalty, from sums over batches: memory does not grow with the set."""

    def __init__(self) -> None:
        self._sums: list[Tensor] | None = None

    def add(self, x: Tensor, y: Tensor) -> None:
        """Show rows of features ``(n, D)`` and their targets ``(n, C)``."""
        x, y = x.double(), y.double()
        sums = [x.new_tensor(len(x)), x.sum(0), y.sum(0), x.T @ x, x.T @ y]
        old = self._sums or [torch.zeros_like(part) for part in sums]
        self._sums = [a + b for a, b in zip(old, sums, strict=True)]

    def solve(self, penalty: float, trainer: HasStrategy) -> tuple[Tensor, Tensor]:
        """Return ``weight (D, C)`` and ``bias (C,)`` float32, of what all processes have seen.

        The penalty is relative to the features' mean variance, so that it means the same for every
        encoder; the bias has none.
        """
        assert self._sums is not None
        n, x, y, xx, xy = (trainer.strategy.reduce(s, reduce_op="sum") for s in self._sums)
        x, y = x / n, y / n
        covariance = xx / n - torch.outer(x, x)
        penalized = covariance + penalty * covariance.diagonal().mean().clamp(
            min=1e-12
        ) * torch.eye(len(x), dtype=x.dtype, device=x.device)
        weight = torch.linalg.solve(penalized, xy / n - torch.outer(x, y))
        return weight.float(), (y - x @ weight).float()


class HasStrategy(Protocol):
    """What sums over processes: a trainer."""

    @property
    def strategy(self) -> L.pytorch.strategies.Strategy:
        """How processes work together."""


class PartProbe:
    """The fraction of every class among a patch's labeled pixels; its answer is the largest."""

    def __init__(self) -> None:
        self.ridge = Ridge()
        self._confusion: Tensor | None = None

    def fit(self, features: Tensor, batch: Batch) -> None:
        """Show features ``(B, D, h, w)``."""
        shares = class_fractions(batch, (features.shape[-2], features.shape[-1]))
        rows = features.flatten(2).transpose(1, 2)
        seen = shares.sum(-1) > 0
        self.ridge.add(rows[seen], shares[seen])

    def update(self, responses: Tensor, batch: Batch) -> None:
        """Compare responses ``(B, N, C)`` with the class that most of a patch's pixels have."""
        grid = _grid(batch, responses.shape[1])
        shares = class_fractions(batch, grid)
        seen = shares.sum(-1) > 0
        pair = shares[seen].argmax(-1) * MAX_CLASSES + responses[seen].argmax(-1)
        counts = torch.bincount(pair, minlength=MAX_CLASSES**2)
        self._confusion = counts if self._confusion is None else self._confusion + counts

    def compute(self, trainer: HasStrategy) -> dict[str, float]:
        """Return mIoU over the classes that occur in the truth, and accuracy."""
        assert self._confusion is not None
        total = trainer.strategy.reduce(self._confusion, reduce_op="sum").double()
        matrix = total.view(MAX_CLASSES, MAX_CLASSES)
        hits, truth = matrix.diagonal(), matrix.sum(1)
        iou = hits / (truth + matrix.sum(0) - hits)
        return {
            "probe_mIoU": float(iou[truth > 0].mean()),
            "probe_acc": float(hits.sum() / truth.sum()),
        }


class KeypointProbe:
    """Which keypoints lie in a patch; its answer is the middle of the patch that says so loudest.

    A point counts as found within a tenth of the longer side of the person's box (PCK), taken to
    the input image. Points outside it do not count.
    """

    def __init__(self) -> None:
        self.ridge = Ridge()
        self._counts: Tensor | None = None

    def fit(self, features: Tensor, batch: Batch) -> None:
        """Show features ``(B, D, h, w)``."""
        grid = (features.shape[-2], features.shape[-1])
        place, seen = _token_of(batch, grid)
        target = F.one_hot(place, grid[0] * grid[1]).transpose(1, 2) * seen[:, None]
        rows = features.flatten(2).transpose(1, 2)
        self.ridge.add(rows.flatten(0, 1), target.flatten(0, 1))

    def update(self, responses: Tensor, batch: Batch) -> None:
        """Compare the loudest of ``(B, N, K)`` with the truth."""
        rows, columns = _grid(batch, responses.shape[1])
        _, seen = _token_of(batch, (rows, columns))
        best = responses.argmax(1)  # (B, K)
        size = batch.image.shape[-1] / columns, batch.image.shape[-2] / rows
        found = torch.stack([best % columns * size[0], best // columns * size[1]], -1)
        middle = found + found.new_tensor(size) / 2 - 0.5
        extents = [
            geometry.max_scale(m.matrix) * float(max(m.bbox[2:] - m.bbox[:2])) for m in batch.meta
        ]
        limit = PCK_THRESHOLD * middle.new_tensor(extents)[:, None]
        near = (middle - batch["keypoints"]).norm(dim=-1) <= limit
        counts = torch.stack([(near & seen).sum(), seen.sum()])
        self._counts = counts if self._counts is None else self._counts + counts

    def compute(self, trainer: HasStrategy) -> dict[str, float]:
        """Return the fraction of labeled points that were found."""
        assert self._counts is not None
        right, total = trainer.strategy.reduce(self._counts, reduce_op="sum").tolist()
        return {"probe_PCK": right / total} if total else {}


def has_labels(dataset: TransformedDataset) -> None:
    """Look at one sample.

    Raises:
        ValueError: it has neither part labels nor keypoints, or there is none.
    """
    if len(dataset) == 0:
        raise ValueError(f"probe: the labeled set is empty: {dataset.dataset!r}")
    sample = dataset.dataset[0]
    if sample.labels is None and sample.keypoints is None:
        raise ValueError(
            f"probe: {type(dataset.dataset).__name__} has neither part labels nor keypoints "
            f"({sample.meta.path}); probe a labeled set, with rendered people "
            "fields=[keypoints,labels]"
        )


def class_fractions(batch: Batch, grid: tuple[int, int]) -> Tensor:
    """Return the share ``(B, N, 256)`` of every class among each patch's labeled pixels.

    Patches without a labeled pixel have zeros.
    """
    labels = batch["labels"]
    window = (labels.shape[-2] // grid[0], labels.shape[-1] // grid[1])
    shares = torch.zeros(len(labels), grid[0] * grid[1], MAX_CLASSES, device=labels.device)
    present = torch.bincount(labels.flatten(), minlength=MAX_CLASSES)
    for number in present.nonzero()[:, 0].tolist():
        if number != IGNORED:
            here = (labels == number).float()[:, None]
            shares[..., number] = F.avg_pool2d(here, window).flatten(1)
    return shares / shares.sum(-1, keepdim=True).clamp(min=1e-9)


def _token_of(batch: Batch, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the patch ``(B, K)`` in which each keypoint lies, and whether it lies in any."""
    height, width = batch.image.shape[-2:]
    x, y = (batch["keypoints"] + 0.5).unbind(-1)  # from the first pixel's outer edge
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (batch["keypoints_visible"] > 0)
    column = (x.clamp(0, width - 1) * grid[1] / width).long()
    row = (y.clamp(0, height - 1) * grid[0] / height).long()
    return row * grid[1] + column, inside


def _grid(batch: Batch, tokens: int) -> tuple[int, int]:
    """Return (rows, columns) of the patches, which are square."""
    height, width = batch.image.shape[-2:]
    rows = round((tokens * height / width) ** 0.5)
    return rows, tokens // rows
