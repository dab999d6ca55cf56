"""What makes a step fit: the numbers follow from the estimate."""

from __future__ import annotations

from collections.abc import Sequence

from sapiens_lab.commands.doctor.composing import build_shell, composed
from sapiens_lab.commands.doctor.config import Built
from sapiens_lab.commands.doctor.memory import (
    Device,
    examine_memory,
    fitting_batch,
    suggestions,
)
from sapiens_lab.training.memory import StepMemory


def step(states: int, per_sample: float) -> StepMemory:
    return StepMemory(total=1, trained=1, states=states, per_sample=per_sample)


def test_the_largest_half_that_fits() -> None:
    assert fitting_batch(step(100, 10), 16, 200) == 8  # 100 + 80
    assert fitting_batch(step(100, 10), 16, 260) == 16
    assert fitting_batch(step(100, 10), 16, 105) == 0


def test_each_suggestion_is_worth_more_than_those_before() -> None:
    def estimate(change: Sequence[str]) -> StepMemory | None:
        if "tune=lora" in change:
            return step(20, 10)
        return step(100, 10) if not change else None

    assert suggestions(16, 150, estimate) == [
        "data.batch_size=4 trainer.accumulate_grad_batches=4",
        "tune=lora data.batch_size=8 trainer.accumulate_grad_batches=2",
    ]


def test_a_model_that_is_too_large_for_a_device() -> None:
    """0.3 B parameters with gradients and moments are 5 GB: lora fits into 4, full does not."""
    words = ["experiment=pose/coco17", "data.root=x", "data.batch_size=2"]
    with composed(words) as config:
        built = Built(learner=build_shell(config, "learner"))
        small = examine_memory(config, built, words, Device("a GPU", 4 * 10**9))
        large = examine_memory(config, built, words, Device("a GPU", 10**12))
        assert config.experiment_name == "pose/coco17"  # the changes did not take its place
    [line] = [x for x in small.lines if x.name == "step"]
    assert line.status == "warning"
    assert "tune=" in line.remedy
    assert "data.batch_size=2" not in line.remedy
    assert [x.status for x in large.lines if x.name == "step"] == ["ok"]
