"""Images per second and memory of ``sapiens predict``: ``python benchmarks/predict.py``.

Random weights (`--backbone`, `--size HxW`), so that only time and memory mean anything. For each
task: everything in turn against overlapped, with the seconds of each stage; then the peak memory of
predicting one image of 28 classes, beside that of holding all logits at once.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from sapiens_lab.data.sample import Meta
from sapiens_lab.geometry import resize
from sapiens_lab.inference.folder import OutputFolder
from sapiens_lab.inference.predictor import Predictor
from sapiens_lab.inference.results.files import usual_kinds
from sapiens_lab.inference.sources import find_frames
from sapiens_lab.models.heads import DeconvHead, MultiHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import vit
from sapiens_lab.synthetic.people.views import SceneSource
from sapiens_lab.tasks.to_source import labels_to_source, to_source
from sapiens_lab.visualize.image import encode_jpeg, fit_height
from sapiens_lab.weights.model import save_model

OUTPUTS = {"pose": 17, "segmentation": 28, "depth": 1, "normal": 3}
INPUT = (1024, 768)
FRAMES = {"1280x960": (960, 1280), "1920x1080": (1080, 1920), "3840x2160": (2160, 3840)}


def export(folder: Path, tasks: list[str], backbone: str, size: tuple[int, int]) -> Path:
    """Write random weights for some tasks."""
    heads = {
        task: lambda dim, task=task: DeconvHead(
            dim, out_channels=OUTPUTS[task], deconv_channels=[64, 64], conv_channels=[64]
        )
        for task in tasks
    }
    several = len(tasks) > 1
    model = Sapiens(
        vit(backbone, image_size=size),
        head=(lambda dim: MultiHead(dim, heads=heads)) if several else heads[tasks[0]],
    )
    described = {task: {"name": task, "meaning": {}} for task in tasks}
    task = {"name": "multitask", "tasks": described} if several else described[tasks[0]]
    return save_model(model, folder, task={"meaning": {}, **task}, input={"crop": "whole"})


def write_images(folder: Path, count: int) -> None:
    """Render a few people and write them, enlarged, as JPEG files."""
    source = SceneSource(image_size=(240, 320), seed=0, split=0, supersample=1)
    scenes = [source.render(i).rgb for i in range(4)]
    for i in range(count):
        large = fit_height(scenes[i % len(scenes)], 960, 960)
        (folder / f"{i:04}.jpg").write_bytes(encode_jpeg(large))


def measure(weights: Path, images: Path, out: Path, num_threads: int) -> tuple[float, str]:
    """Predict a folder and write its files; return images/s and the stages."""
    predictor = Predictor.from_pretrained(weights)
    predictor(next(images.iterdir()))  # the first call is slower
    frames = find_frames([images])
    folder = OutputFolder(out, {}, usual_kinds(predictor.tasks))
    folder.open()
    pipeline = predictor.pipeline(num_threads)
    began = time.perf_counter()
    failed = [o for o in pipeline.run(frames, folder.write) if o.error is not None]
    assert not failed, failed
    return len(frames) / (time.perf_counter() - began), pipeline.stages.summary()


def peak(size: tuple[int, int], how: str) -> float:
    """Return how much memory [MB] the labels of one image take at their peak, in this process."""
    logits = torch.randn(28, 512, 384)

    def predict(target: tuple[int, int]) -> None:
        meta = Meta(
            id=0, image_id=0, path="", size=target, bbox=np.zeros(4, np.float32),
            matrix=resize(target, INPUT),
        )  # fmt: skip
        if how == "bands":
            labels_to_source(logits, meta, INPUT)
        else:
            to_source(logits, meta, INPUT).argmax(0)

    predict((64, 48))  # what libraries take once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    predict(size)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def in_process(size: tuple[int, int], how: str) -> float:
    """Return ``peak`` of a process of its own: the peak of a process never falls."""
    words = [sys.executable, __file__, "--peak", how, "--size", f"{size[0]}x{size[1]}"]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--size", default="256x192", help="of the input, HxW")
    parser.add_argument("--peak", choices=["bands", "whole"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    height, width = (int(part) for part in options.size.split("x"))
    if options.peak:
        print(peak((height, width), options.peak))
        return
    console = Console(width=160)
    table = Table("task", "in turn [images/s]", "overlapped [images/s]", "stages, overlapped")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        write_images(folder / "images", options.images)
        for tasks in (*([task] for task in OUTPUTS), list(OUTPUTS)):
            title = tasks[0] if len(tasks) == 1 else "all, one encoder"
            weights = export(folder / title, tasks, options.backbone, (height, width))
            slow, _ = measure(weights, folder / "images", folder / f"{title} 0", 0)
            fast, stages = measure(weights, folder / "images", folder / f"{title} 2", 2)
            table.add_row(title, f"{slow:.2f}", f"{fast:.2f}", stages)
    console.print(table)
    memory = Table("image", "labels of 28 classes [MB]", "by all logits at once [MB]")
    for title, size in FRAMES.items():
        values = [f"{in_process(size, how):.0f}" for how in ("bands", "whole")]
        memory.add_row(title, *values)
    console.print(memory)


if __name__ == "__main__":
    main()
