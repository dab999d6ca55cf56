"""What an untrained network and the best constant answer score: ``python benchmarks/baselines.py``.

The constant is the average training target at every place of the input: mean keypoints, the most
frequent class, mean depth, mean normal. Words after the name are overrides, as for ``train.py``:

python benchmarks/baselines.py pose/synthetic segmentation/synthetic depth/synthetic
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import open_dict
from rich.console import Console
from rich.table import Table
from torch import Tensor

from sapiens_lab.commands.hydra_app import config_folder
from sapiens_lab.commands.resolvers import register_resolvers
from sapiens_lab.data.datamodule import DataModule
from sapiens_lab.data.sample import Batch
from sapiens_lab.heatmaps import HeatmapCodec
from sapiens_lab.tasks.depth import DepthTask, relative_depth
from sapiens_lab.tasks.normal import NormalTask
from sapiens_lab.tasks.pose import PoseTask
from sapiens_lab.tasks.segmentation import SegmentationTask
from sapiens_lab.tasks.task import Task


def build(experiment: str, overrides: list[str]) -> tuple[DataModule, Any]:
    """Return the data and the learner of an experiment, with new weights."""
    register_resolvers()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        words = [f"experiment={experiment}", *overrides]
        config = compose("config", overrides=words, return_hydra_config=True)
        config.hydra.runtime.output_dir = "unused"
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        torch.manual_seed(config.seed)
        return instantiate(config.data, _convert_="all"), instantiate(
            config.learner, _convert_="all"
        )


def training_batches(data: DataModule) -> list[Batch]:
    """Return the training people as the evaluation sees them: no augmentation."""
    data._transforms["train"] = data._transforms["eval"]
    loader = data.train_dataloader()
    return list(loader)


def constant_output(task: Task, batches: list[Batch]) -> Tensor:
    """Return the output ``(1, C, h, w)`` that answers with the average of the training set."""
    if isinstance(task, PoseTask):
        return _mean_pose(batches)
    if isinstance(task, SegmentationTask):
        counts = torch.zeros(task.parts.num_classes, *batches[0].image.shape[-2:])
        for batch in batches:
            labels = batch["labels"]
            known = labels < task.parts.num_classes
            one_hot = torch.nn.functional.one_hot(
                labels.where(known, 0).long(), task.parts.num_classes
            )
            counts += (one_hot * known[..., None]).sum(0).permute(2, 0, 1)
        return counts[None]
    if isinstance(task, DepthTask):
        return _mean_map(
            [(relative_depth(b["depth"], b["depth_valid"]), b["depth_valid"]) for b in batches]
        )
    if isinstance(task, NormalTask):
        return _mean_map([(b["normal"], b["normal_valid"]) for b in batches])
    raise ValueError(f"no constant answer for {type(task).__name__}")


def _mean_map(maps: list[tuple[Any, Any]]) -> Tensor:
    total = sum((values * valid).sum(0) for values, valid in maps)
    count = sum(valid.sum(0) for _, valid in maps)
    overall = total.flatten(1).sum(1) / count.sum()
    mean: Tensor = (total / count.clamp(min=1)).where(count > 0, overall[:, None, None])[None]
    return mean


def _mean_pose(batches: list[Batch]) -> Tensor:
    keypoints = torch.cat([b["keypoints"] for b in batches])
    seen = torch.cat([b["keypoints_visible"] for b in batches]) > 0
    mean = (keypoints * seen[..., None]).sum(0) / seen.sum(0).clamp(min=1)[:, None]
    height, width = batches[0].image.shape[-2:]
    codec = HeatmapCodec((height, width), heatmap_size=(height // 4, width // 4), sigma=1.5)
    visible = torch.full((1, len(mean)), 2, dtype=torch.uint8)
    return codec.encode(mean[None], visible)[0]


@torch.no_grad()
def measure(task: Task, data: DataModule, answer: Callable[[Tensor], Any]) -> dict[str, float]:
    """Return the metrics of the validation set."""
    task.setup(train=None, val=data.dataset("val"))
    for batch in data.val_dataloader():
        assert isinstance(batch, Batch)
        task.update_metrics(task.predict(answer(batch.image), batch), batch)
    return task.compute_metrics()[0]


def main(words: list[str]) -> None:
    """Print a table for each experiment."""
    experiments = [word for word in words if "=" not in word] or ["pose/synthetic"]
    for experiment in experiments:
        data, learner = build(experiment, [word for word in words if "=" in word])
        data.prepare_data()
        constant = constant_output(learner.task, training_batches(data))
        rows = {
            "untrained": measure(learner.task, data, learner.model.eval()),
            "constant": measure(
                learner.task, data, lambda image, c=constant: c.expand(len(image), -1, -1, -1)
            ),
        }
        table = Table(title=experiment, title_justify="left")
        table.add_column("metric")
        for name in rows:
            table.add_column(name, justify="right")
        for metric in dict.fromkeys(m for row in rows.values() for m in row if "/" not in m):
            table.add_row(
                metric, *(f"{row[metric]:.4g}" if metric in row else "" for row in rows.values())
            )
        Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
