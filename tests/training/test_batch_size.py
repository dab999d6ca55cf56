"""``data.batch_size=auto``: the search, a trial that changes nothing, and who is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from sapiens_lab.data.datamodule import DataModule
from sapiens_lab.training import batch_size
from sapiens_lab.training.batch_size import choose_batch_size, fits, largest
from tests.command import TINY, Commands, status


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 24, 37, 100, 500])
def test_the_search_comes_within_an_eighth(most: int) -> None:
    tried: list[int] = []
    found = largest(lambda n: tried.append(n) or n <= most, 256)
    truth = min(most, 256)
    assert truth - truth // 8 <= found <= truth
    assert max(tried) <= 256
    assert len(tried) < 16


class Counting(nn.Module):
    """A model with running statistics that has room for so many images."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.norm = nn.BatchNorm2d(3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if len(image) > self.room:
            raise torch.OutOfMemoryError
        return self.norm(image.float())


def trial(monkeypatch: pytest.MonkeyPatch, room: int, device: str = "cuda") -> tuple[Any, Any, Any]:
    """A learner, its data and a trainer that says it is on a GPU."""
    task = SimpleNamespace(compute_loss=lambda output, batch: {"mean": output.mean()})
    learner: Any = SimpleNamespace(model=Counting(room), task=task, to=lambda device: None)
    datamodule: Any = SimpleNamespace(dataset=lambda split: range(1000))
    monkeypatch.setattr(batch_size, "first_sample", lambda _: "sample")
    monkeypatch.setattr(batch_size, "collate", Batch)
    plain = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    strategy = SimpleNamespace(root_device=SimpleNamespace(type=device))
    trainer: Any = SimpleNamespace(
        strategy=strategy, world_size=1, precision_plugin=plain.precision_plugin
    )
    return learner, datamodule, trainer


class Batch:
    """Copies of an image."""

    def __init__(self, samples: list[Any]) -> None:
        self.image = torch.rand(len(samples), 3, 4, 4)

    def to(self, device: Any) -> Batch:
        """Stay."""
        return self


def test_nine_tenths_of_what_fits_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    learner, datamodule, trainer = trial(monkeypatch, 40)
    assert 31 <= choose_batch_size(learner, datamodule, trainer) <= 36
    assert choose_batch_size(*trial(monkeypatch, 5000)) == 1000, "the whole training set"
    with pytest.raises(ValueError, match="not even one sample fits"):
        choose_batch_size(*trial(monkeypatch, 0))


def test_a_trial_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, _, trainer = trial(monkeypatch, 8, "cpu")
    before = {k: v.clone() for k, v in learner.model.state_dict().items()}
    assert fits(learner, trainer, "sample", 8)  # type: ignore[arg-type]
    assert not fits(learner, trainer, "sample", 9)  # type: ignore[arg-type]
    assert all(torch.equal(before[k], v) for k, v in learner.model.state_dict().items())
    assert all(p.grad is None for p in learner.model.parameters())


def test_a_processor_and_several_gpus_are_refused(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in TINY if not word.startswith("data.batch_size")]
    assert status("train", *words, "data.batch_size=auto") == 1
    said = capsys.readouterr().err
    assert "data.batch_size=auto tries how much the memory of a GPU holds" in said
    learner, datamodule, trainer = trial(monkeypatch, 8)
    trainer.world_size = 2
    with pytest.raises(ValueError, match=r"with trainer\.devices=1"):
        choose_batch_size(learner, datamodule, trainer)


def test_the_number_that_was_found_is_the_runs(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(learner: Any, datamodule: DataModule, trainer: Any) -> int:
        assert datamodule.is_auto
        return 6

    monkeypatch.setattr(batch_size, "choose_batch_size", choose)
    words = [word for word in TINY if not word.startswith("data.batch_size")]
    code = status("train", *words, "data.batch_size=auto", "effective_batch=12")
    assert code == 0
    [run] = commands.runs()
    assert "- data.batch_size=6\n" in (run / "overrides.yaml").read_text()
    assert "  batch_size: 6\n" in (run / "config.yaml").read_text()
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert state["global_step"] == 2, "12 samples in two epochs: a step of two batches each"
