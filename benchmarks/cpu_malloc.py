"""What keeping freed memory is worth on a CPU: ``python benchmarks/cpu_malloc.py``.

Steps of training of a small pose model, each variant in a process of its own, in turns: time per
step, user and system time, and peak memory. See ``sapiens_lab/training/malloc.py``.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time

import torch
from rich.console import Console
from rich.table import Table

from sapiens_lab.models.heads import DeconvHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import vit
from sapiens_lab.training.malloc import VARIABLE, keep_freed_memory

VARIANTS = ("system", "keep")


def train(arguments: argparse.Namespace) -> None:
    """Train for some steps and print wall, user and system seconds per step and peak memory."""
    keep_freed_memory("cpu")
    torch.manual_seed(0)
    size = (arguments.height, arguments.height * 3 // 4)
    model = Sapiens(
        vit("tiny", image_size=size, patch_padding=0),
        head=lambda dim: DeconvHead(
            dim, out_channels=17, deconv_channels=[arguments.width] * 2,
            conv_channels=[arguments.width] * 2,
        ),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    image = torch.randint(0, 256, (arguments.batch, 3, *size), dtype=torch.uint8)

    def step() -> None:
        model(image).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(2):
        step()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(arguments.steps):
        step()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    values = (wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)
    print(*[value / arguments.steps for value in values], after.ru_maxrss / 2**10)


def main() -> None:
    """Run both variants in turns and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=64, help="channels of the head")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        train(arguments)
        return
    rows: dict[str, list[list[float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(arguments.rounds):
        for variant in VARIANTS:
            result = subprocess.run(
                [sys.executable, *sys.argv, "--child"],
                env={**os.environ, VARIABLE: variant, "OMP_WAIT_POLICY": "PASSIVE"},
                stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            rows[variant].append([float(value) for value in result.stdout.split()])
    table = Table()
    for name in (VARIABLE, "ms per step", "user", "system", "peak memory [MB]"):
        table.add_column(name, justify="right")
    for variant in VARIANTS:
        values = torch.tensor(rows[variant]).median(0).values.tolist()
        times = [f"{1e3 * value:.0f}" for value in values[:3]]
        table.add_row(variant, *times, f"{values[3]:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
