"""Milliseconds per sample and stage, on one thread: ``python benchmarks/data_pipeline.py``.

From a JPEG of 1920x1080 (height x width) to an input of 1024x768: pose with 308 keypoints, then
parts, depth and normals, each through the training transforms of its shipped recipe. Label, depth
and normal maps are taken from memory; reading theirs depends on the format.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from rich.console import Console
from rich.table import Table

from sapiens_lab.commands.hydra_app import config_folder
from sapiens_lab.commands.resolvers import register_resolvers
from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople
from sapiens_lab.data.fields import Image
from sapiens_lab.data.images import read_image
from sapiens_lab.data.sample import Sample, collate
from sapiens_lab.data.transforms import Transform

RECIPES = {
    "pose/goliath308": "keypoints",
    "segmentation/goliath28": "labels",
    "depth/general": "depth",
    "normal/general": "normal",
}
FIELDS = ("keypoints", "labels", "depth", "normal")


def transforms_of(experiment: str) -> dict[str, Transform]:
    """Return the named training transforms of a shipped experiment."""
    register_resolvers()
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        words = [f"experiment={experiment}", "data.root=unused"]
        config = compose("config", overrides=words, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        steps = instantiate(config.data.train_transforms, _convert_="all")
    return {name: step for name, step in steps.items() if step is not None}


def measure(
    sample: Sample, jpeg: Path, steps: dict[str, Transform], count: int
) -> dict[str, float]:
    """Return the mean milliseconds of every stage."""
    spent = dict.fromkeys(["decode", *steps, "collate"], 0.0)
    done = 0
    for seed in range(10 * count):
        rng = np.random.default_rng(seed)
        began = time.perf_counter()
        current: Sample | None = replace(sample, image=Image(pixels=read_image(jpeg)))
        spent["decode"] += time.perf_counter() - began
        for name, step in steps.items():
            began = time.perf_counter()
            current = step(current, rng)  # type: ignore[arg-type]  # checked below
            spent[name] += time.perf_counter() - began
            if current is None:
                break
        if current is not None:
            began = time.perf_counter()
            collate([current])
            spent["collate"] += time.perf_counter() - began
            done += 1
        if done == count:
            break
    return {name: 1e3 * seconds / done for name, seconds in spent.items()}


def show(rows: Iterable[tuple[str, dict[str, float]]]) -> None:
    """Print one line an experiment, its stages in their order."""
    table = Table("recipe", "total [ms]", "stages [ms]")
    for experiment, spent in rows:
        stages = "  ".join(f"{name} {ms:.1f}" for name, ms in spent.items() if ms >= 0.05)
        table.add_row(experiment, f"{sum(spent.values()):.1f}", stages)
    Console(width=140).print(table)


def main() -> None:
    """Render one person, write the JPEG, time the recipes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=40)
    count = parser.parse_args().samples
    cv2.setNumThreads(1)
    people = SyntheticPeople(
        num_scenes=1, image_size=(1920, 1080), skeleton="goliath308", fields=FIELDS, cache=False,
        supersample=1,
    )  # fmt: skip
    whole = people[0]
    rows = []
    with TemporaryDirectory() as folder:
        jpeg = Path(folder, "person.jpg")
        cv2.imwrite(str(jpeg), whole.image.pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        for experiment, field in RECIPES.items():
            sample = replace(whole, fields={field: whole.fields[field]})
            rows.append((experiment, measure(sample, jpeg, transforms_of(experiment), count)))
    show(rows)


if __name__ == "__main__":
    main()
