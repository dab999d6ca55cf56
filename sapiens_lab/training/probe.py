"""Is pretraining learning anything of use?  A light probe of the encoder, every few epochs.

The loss of masked pretraining says how well gaps are filled, not how good the features are. A probe
asks the features for what they will be used for: a ridge regression from every patch's features, of
the frozen encoder on whole images, to its body part or to the keypoints in it, fitted on a small
labeled set and measured on a held-out one. It is solved exactly and costs two passes over the set.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.utils.data import DataLoader

from sapiens_lab.data.checks.finding import OnError
from sapiens_lab.data.dataset import Dataset, DatasetFactory
from sapiens_lab.data.loading import MAX_REJECTED, EpochSampler, TransformedDataset
from sapiens_lab.data.sample import Batch, Dropped, Sample, collate
from sapiens_lab.data.transforms import Transform
from sapiens_lab.models.mae import MaskedAutoencoder
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.ranges import Count, NonNegative
from sapiens_lab.training.learner import Learner
from sapiens_lab.training.linear_probes import KeypointProbe, PartProbe

log = logging.getLogger(__name__)


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
        on_error: ``skip`` leaves out samples whose files are damaged, and names them.
        root: folder of the labeled sets, if they share one; named where one cannot be used.
    """

    def __init__(
        self,
        *,
        train: DatasetFactory,
        val: DatasetFactory,
        transforms: Mapping[str, Transform | None],
        every_n_epochs: Count = 1,
        batch_size: Count = 16,
        limit: Count | None = None,
        penalty: NonNegative = 1e-3,
        on_error: OnError = "raise",
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
        self._limit, self._on_error = limit, on_error
        self._root = root
        self._datasets: dict[str, TransformedDataset] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Build the labeled sets and probe the encoder as it is.

        Raises:
            ValueError: a set is empty, or has neither part labels nor keypoints.
        """
        for split, make in self._factories.items():
            dataset = make()
            if trainer.is_global_zero:
                dataset.prepare(1)
            trainer.strategy.barrier("probe")
            self._check_labels(dataset)
            self._datasets[split] = TransformedDataset(
                dataset, transforms=self._transforms, limit=self._limit, on_error=self._on_error
            )
        if trainer.current_epoch == 0:
            found = "  ".join(f"{k} {v:.4g}" for k, v in self.measure(trainer, pl_module).items())
            log.info("before training: %s", found)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Fit, measure, log."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            metrics = self.measure(trainer, pl_module)
            pl_module.log_dict({f"val/{name}": value for name, value in metrics.items()})

    @torch.no_grad()
    def measure(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, float]:
        """Return the metrics of the encoder as it is; all processes return the same."""
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
        metrics: dict[str, float] = {}
        for probe in probes:
            metrics |= probe.compute(trainer)
        return metrics

    def _check_labels(self, dataset: Dataset) -> None:
        where = f" below {self._root}" if self._root else ""
        if len(dataset) == 0:
            raise ValueError(f"probe: the labeled {type(dataset).__name__}{where} is empty")
        sample = self._first(dataset)
        if sample.labels is None and sample.keypoints is None:
            raise ValueError(
                f"probe: {type(dataset).__name__} has neither part labels nor keypoints "
                f"({sample.meta.path}); probe a labeled set, with rendered people "
                "fields=[keypoints,labels]"
            )

    def _first(self, dataset: Dataset) -> Sample:
        """Return the first sample, or with ``on_error=skip`` the first that can be read."""
        for index in range(min(len(dataset), MAX_REJECTED) - 1):
            try:
                return dataset[index]
            except (ValueError, FileNotFoundError):
                if self._on_error == "raise":
                    raise
        return dataset[min(len(dataset), MAX_REJECTED) - 1]

    def _passes(
        self, split: str, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> Iterator[tuple[Tensor, Batch]]:
        """Give the features ``(B, D, h, w)`` float32 of this process's fraction of a set."""
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
            if not loaded.meta:  # all were damaged
                continue
            batch: Batch = loaded.to(pl_module.device)
            with trainer.precision_plugin.forward_context():
                features = model.backbone(model.normalize(batch.image))
            yield features.float(), batch
