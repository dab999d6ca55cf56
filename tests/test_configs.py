"""Every shipped config composes, and what it names can be built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from sapiens_lab.commands.composing import config_folder
from sapiens_lab.commands.overrides.monitored import check_logged, check_monitor
from sapiens_lab.commands.resolvers import register_resolvers
from sapiens_lab.data.datamodule import DataModule
from sapiens_lab.models.mae import Reconstruction

CONFIGS = config_folder()
EXPERIMENTS = sorted(
    path.relative_to(CONFIGS / "experiment").with_suffix("").as_posix()
    for path in (CONFIGS / "experiment").rglob("*.yaml")
)
# Groups whose options stand beside any experiment; `task`, `data` and `head` belong to one.
GROUPS = (
    "backbone",
    "tune",
    "optimizer",
    "scheduler",
    "trainer",
    "callbacks",
    "probe",
    "logger",
    "debug",
)
OPTIONS = sorted(
    f"{group}={path.stem}" for group in GROUPS for path in (CONFIGS / group).glob("*.yaml")
)


# What a command decides for experiment=finetune/... by the data.
DECIDED = (
    "image_size=[64,48]", "weights=null", "skeleton=coco17", "parts=goliath28", "recipe=small",
    "data.batch_size=4", "optimizer.lr=1e-3", "optimizer.layer_decay=null", "trainer.max_epochs=8",
    "trainer.check_val_every_n_epoch=1", "trainer.accumulate_grad_batches=1",
)  # fmt: skip


def completed(words: tuple[str, ...]) -> list[str]:
    """Return overrides of which none is left open; what is given wins."""
    if not any(word.startswith("experiment=finetune/") for word in words):
        return list(words)
    given = {word.split("=")[0] for word in words}
    if "debug" in given:
        given |= {"trainer.max_epochs", "trainer.check_val_every_n_epoch"}
    return [*(word for word in DECIDED if word.split("=")[0] not in given), *words]


@contextmanager
def composed(*words: str) -> Iterator[DictConfig]:
    """Compose as a command does, and let interpolations ask what only a command knows."""
    register_resolvers()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("config", overrides=completed(words), return_hydra_config=True)
        config.hydra.runtime.output_dir = "run"
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        yield config
        HydraConfig.instance().cfg = None


def build(config: DictConfig, *names: str) -> dict[str, Any]:
    """Instantiate nodes as the commands do, with parameters that take no memory."""
    with torch.device("meta"):
        return {name: instantiate(config[name], _convert_="all") for name in names}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_and_builds(experiment: str, tmp_path: Path) -> None:
    with composed(f"experiment={experiment}") as config:
        if OmegaConf.is_missing(config.data, "root"):
            config.data.root = str(tmp_path)
        OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        built = build(config, "learner", "callbacks", "data")
        assert isinstance(built["data"], DataModule)
        names = built["learner"].task.metric_names()
        check_monitor(config.monitor, names)
        check_logged(config.log_metrics, names)
        height, width = config.image_size
        image = torch.empty(2, 3, height, width, dtype=torch.uint8, device="meta")
        output = built["learner"].model(image)
        assert all(len(value) == 2 for value in _tensors(output))


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_builds(option: str) -> None:
    name = option.split("=")[0]
    with composed(option) as config:
        if name == "probe":
            name = "callbacks"  # where it goes
            if "probe" in config.callbacks and OmegaConf.is_missing(config.callbacks.probe, "root"):
                config.callbacks.probe.root = "labeled"
        if name in ("tune", "optimizer", "scheduler", "trainer", "callbacks", "backbone"):
            if option == "trainer=gpu" and not torch.cuda.is_available():
                config.trainer.accelerator = "cpu"  # built here, run where there is one
            assert build(config, name)[name] is not None


@pytest.mark.parametrize("kind", ["relative", "metric"])
def test_depth_is_drawn_as_the_kind_that_is_learned(kind: str) -> None:
    with composed("experiment=depth/synthetic", f"task.kind={kind}") as config:
        assert build(config, "view")["view"].kind == kind
    with composed("experiment=multitask/synthetic", f"tasks.depth.task.kind={kind}") as config:
        assert build(config, "view")["view"].views["depth"].kind == kind
        assert build(config, "task")["task"].tasks["depth"].kind == kind


def test_a_header_says_how_to_run_each_experiment() -> None:
    for experiment in EXPERIMENTS:
        text = (CONFIGS / "experiment" / f"{experiment}.yaml").read_text()
        default = experiment == "pose/synthetic"
        assert "python train.py" in text, experiment
        assert default or f"experiment={experiment}" in text, experiment
        assert text.startswith("# @package _global_"), experiment


def _tensors(output: Any) -> list[torch.Tensor]:
    if isinstance(output, Reconstruction):
        return [output.patches]
    return list(output.values()) if isinstance(output, dict) else [output]
