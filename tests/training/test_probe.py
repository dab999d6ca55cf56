from __future__ import annotations

import contextlib
import csv
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor

from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.fields import Image, Keypoints
from sapiens_lab.data.sample import Batch, Meta, Sample
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import ViT
from sapiens_lab.training.learner import Learner
from sapiens_lab.training.linear_probes import KeypointProbe, PartProbe, Ridge, class_fractions
from sapiens_lab.training.probe import Probe
from tests.command import Commands, losses, metrics
from tests.test_pretraining import ALONE, PROBED

TRAINER: Any = SimpleNamespace(strategy=SimpleNamespace(reduce=lambda value, reduce_op: value))
GRID = (4, 3)
PATCH = 8


def batch(**fields: Any) -> Batch:
    count = len(next(iter(fields.values())))
    box = np.array([0, 0, 23, 31], np.float32)
    meta = [Meta(id=i, image_id=i, path=str(i), size=(32, 24), bbox=box) for i in range(count)]
    return Batch(image=torch.zeros(count, 3, 32, 24, dtype=torch.uint8), meta=meta, tensors=fields)


def labeled(count: int) -> tuple[Batch, Tensor]:
    """Return part maps of whole patches, and their classes ``(B, h, w)``."""
    classes = torch.randint(0, 5, (count, *GRID), generator=torch.Generator().manual_seed(0))
    pixels = classes.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)
    return batch(labels=pixels.to(torch.uint8)), classes


def fitted(probe: Any, features: Tensor, shown: Batch) -> dict[str, float]:
    probe.fit(features, shown)
    weight, bias = probe.ridge.solve(1e-4, TRAINER)
    probe.update(features.flatten(2).transpose(1, 2) @ weight + bias, shown)
    found: dict[str, float] = probe.compute(TRAINER)
    return found


def test_sums_over_batches_solve_what_all_rows_at_once_would() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(300, 7).double() * torch.arange(1, 8) + 5, torch.randn(300, 3).double()
    ridge = Ridge()
    for start in range(0, 300, 70):
        ridge.add(x[start : start + 70], y[start : start + 70])
    weight, bias = ridge.solve(0.1, TRAINER)
    centerd = x - x.mean(0)
    alpha = 0.1 * centerd.var(0, unbiased=False).mean() * 300
    gram = centerd.T @ centerd + alpha * torch.eye(7)
    expected = torch.linalg.solve(gram, centerd.T @ (y - y.mean(0)))
    torch.testing.assert_close(weight.double(), expected, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(
        bias.double(), y.mean(0) - x.mean(0) @ expected, rtol=1e-5, atol=1e-6
    )


def test_parts_that_the_features_hold_are_found_and_noise_holds_none() -> None:
    shown, classes = labeled(40)
    torch.manual_seed(0)
    mixing = torch.randn(5, 16)
    telling = mixing[classes].permute(0, 3, 1, 2)
    assert fitted(PartProbe(), telling, shown) == {"probe_mIoU": 1.0, "probe_acc": 1.0}
    noise = torch.randn(40, 4, *GRID)
    assert fitted(PartProbe(), noise, shown)["probe_acc"] < 0.4


def test_ignored_pixels_count_nowhere() -> None:
    shown, classes = labeled(3)
    shown["labels"][:, :PATCH] = 255
    shown["labels"][:, PATCH : PATCH + 5] = 255
    fractions = class_fractions(shown, GRID)
    assert (fractions[:, : GRID[1]] == 0).all()
    assert (fractions[:, GRID[1] :].argmax(-1) == classes.flatten(1)[:, GRID[1] :]).all()
    torch.testing.assert_close(fractions[:, GRID[1] :].sum(-1), torch.ones(3, 9))


def test_a_keypoint_is_found_where_the_features_mark_it() -> None:
    generator = torch.Generator().manual_seed(1)
    places = torch.randint(0, 12, (30, 2), generator=generator)  # of two keypoints
    middle = torch.stack([places % 3, places // 3], -1) * PATCH + (PATCH - 1) / 2
    shown = batch(
        keypoints=middle.float(), keypoints_visible=torch.full((30, 2), 2, dtype=torch.uint8)
    )
    marks = torch.nn.functional.one_hot(places, 12).float().unflatten(-1, GRID)
    assert fitted(KeypointProbe(), marks, shown) == {"probe_PCK": 1.0}
    shown["keypoints"][:, 0, 0] += 100  # outside: neither right nor wrong
    assert fitted(KeypointProbe(), marks, shown) == {"probe_PCK": 1.0}
    assert fitted(KeypointProbe(), torch.zeros(30, 2, *GRID), shown)["probe_PCK"] < 0.4


def test_an_empty_set_is_named_with_its_folder() -> None:
    def never() -> Any:
        raise AssertionError

    class Nothing(Dataset):
        def __len__(self) -> int:
            return 0

        def __getitem__(self, index: int) -> Sample:
            raise IndexError(index)

    probe = Probe(train=Nothing, val=never, transforms={}, root="labeled/folder")
    trainer: Any = SimpleNamespace(
        is_global_zero=True, strategy=SimpleNamespace(barrier=lambda name: None)
    )
    with pytest.raises(ValueError, match="labeled Nothing below labeled/folder is empty"):
        probe.on_fit_start(trainer, cast(Any, None))


def test_a_run_logs_its_probe_and_learns_the_same(commands: Commands) -> None:
    commands.train(*ALONE, "experiment_name=without", tiny=False)
    commands.train(
        *PROBED, "callbacks.probe.limit=6", "callbacks.probe.every_n_epochs=2",
        "experiment_name=with", tiny=False,
    )  # fmt: skip
    without, probed = commands.runs("without")[0], commands.runs("with")[0]
    assert losses(probed) == losses(without)
    with (probed / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/loss")]
    assert [bool(row["val/probe_mIoU"]) for row in rows] == [False, True]
    last = metrics(probed)["last"]
    assert 0 <= last["val/probe_PCK"] <= 1
    assert 0 < last["val/probe_acc"] <= 1
    said = (probed / "messages.log").read_text()
    assert "before training: probe_mIoU" in said


def test_a_set_without_labels_is_refused_before_the_first_step(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        commands.train(*PROBED, "callbacks.probe.train.fields=[depth]", tiny=False)
    assert "neither part labels nor keypoints" in capsys.readouterr().err


class Damaged(Dataset):
    """Six images with a keypoint each, of which three cannot be read."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Sample:
        if index < 3:
            raise ValueError(f"{index}.png is truncated")
        points = Keypoints(
            xy=np.full((1, 2), index, np.float32),
            visible=np.full(1, 2, np.uint8),
            flip_indices=None,
        )
        box = np.array([0, 0, 31, 31], np.float32)
        meta = Meta(id=index, image_id=index, path=f"{index}.png", size=(32, 32), bbox=box)
        image = Image(pixels=np.zeros((32, 32, 3), np.uint8))
        return Sample(image=image, bbox=box, meta=meta, fields={"keypoints": points})


@torch.no_grad()
def test_samples_that_cannot_be_read_are_left_out_on_request() -> None:
    trainer: Any = SimpleNamespace(
        is_global_zero=True,
        current_epoch=1,
        global_rank=0,
        world_size=1,
        strategy=SimpleNamespace(barrier=lambda name: None),
        precision_plugin=SimpleNamespace(forward_context=contextlib.nullcontext),
    )
    learner = Learner.__new__(Learner)
    L.LightningModule.__init__(learner)
    learner.model = Sapiens(
        ViT((32, 32), embed_dim=8, num_layers=1, num_heads=2), head=lambda d: torch.nn.Identity()
    )
    sets: Any = {"train": Damaged, "val": Damaged, "transforms": {}, "batch_size": 2}
    with pytest.raises(ValueError, match=r"0\.png is truncated"):
        Probe(**sets).on_fit_start(trainer, learner)
    probe = Probe(**sets, on_error="skip")
    probe.on_fit_start(trainer, learner)
    seen = [batch.meta[i].id for _, batch in probe._passes("val", trainer, learner)
            for i in range(len(batch))]  # fmt: skip
    assert seen == [3, 4, 5]
