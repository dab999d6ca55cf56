"""Does pretraining help?  ``python benchmarks/pretraining_gain.py <pretraining run>/export``

Fine-tunes a rendered-people experiment on few labeled scenes, from random weights and from the
export, with the same steps and the same seeds, and prints the held-out metric of the last epoch.
Each run is the shipped command with overrides, so it can be repeated by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

TRAIN = Path(__file__).parents[1] / "train.py"


def fine_tune(words: list[str], metric: str, folder: Path) -> float:
    """Run one fine-tuning; return its number in the last epoch."""
    command = [sys.executable, str(TRAIN), *words, f"hydra.run.dir={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return float(json.loads((folder / "metrics.json").read_text())["last"][f"val/{metric}"])


def main() -> None:
    """Compare the two starts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export", type=Path)
    parser.add_argument("--experiment", default="segmentation/synthetic")
    parser.add_argument("--metric", default="mIoU")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("words", nargs="*", help="further overrides of both")
    arguments = parser.parse_args()
    console = Console(width=110)
    shared = [
        f"experiment={arguments.experiment}",
        f"data.train.num_scenes={arguments.scenes}",
        f"trainer.max_epochs={arguments.epochs}",
        f"trainer.check_val_every_n_epoch={arguments.epochs}",
        *arguments.words,
    ]
    starts = {"random": [], "pretrained": [f"weights={arguments.export.resolve()}"]}
    found: dict[str, list[float]] = {name: [] for name in starts}
    with TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            for name, words in starts.items():
                began = time.perf_counter()
                run = Path(folder, f"{name}_{seed}")
                number = fine_tune([*shared, f"seed={seed}", *words], arguments.metric, run)
                found[name].append(number)
                spent = time.perf_counter() - began
                console.print(
                    f"seed {seed}, {name}: {arguments.metric} {number:.4f} ({spent:.0f} s)"
                )
    table = Table("start", f"{arguments.metric} of each seed", "mean")
    for name, numbers in found.items():
        each = "  ".join(f"{number:.4f}" for number in numbers)
        table.add_row(name, each, f"{statistics.mean(numbers):.4f}")
    console.print(table)


if __name__ == "__main__":
    main()
