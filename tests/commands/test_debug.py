"""``debug=fast|overfit|profile``: on every experiment, and for real on rendered people."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from tests.command import TINY, Commands, losses
from tests.test_configs import EXPERIMENTS, composed

# Optimizer steps that a mode may leave of a run: of few and of many samples.
STEPS = {"fast": (1, 2), "profile": (1, 30), "overfit": (200, 800)}


@pytest.mark.parametrize("mode", STEPS)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_has_a_schedule_for_a_debug_run(
    experiment: str, mode: str, tmp_path: Path
) -> None:
    """The warm-up of a recipe is longer than these runs."""
    overrides = (f"experiment={experiment}", f"debug={mode}", f"+data.root={tmp_path}")
    with composed(*overrides) as config:
        OmegaConf.to_container(config, resolve=True)
        assert config.trainer.max_epochs >= config.trainer.check_val_every_n_epoch
        for num_steps in STEPS[mode]:
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
            scheduler = instantiate(config.scheduler)(optimizer, num_steps=num_steps)
            for _ in range(num_steps):
                optimizer.step()
                scheduler.step()


@pytest.mark.parametrize("mode", ["fast", "profile"])
def test_debug_modes(commands: Commands, mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands.train(f"debug={mode}", "data.batch_size=2", "trainer.max_epochs=1")
    [run] = commands.runs()
    assert len(losses(run)) == (2 if mode == "fast" else 6)
    if mode == "profile":
        assert "run_training_batch" in capsys.readouterr().out + (run / "messages.log").read_text()


def test_overfitting_stops_where_the_metric_passes_the_threshold(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [word for word in TINY if not word.startswith("data.val.")]  # the same samples
    commands.train("debug=overfit", *overrides, "overfit_at=-1", tiny=False)  # AP is 0 at first
    [run] = commands.runs()
    assert sorted(losses(run)) == [0, 1, 2], "one epoch of two"
    said = capsys.readouterr()
    assert (said.out + said.err).count("Stopping threshold reached") == 1
