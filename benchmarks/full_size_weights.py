"""A full-size file through every container: equal outputs, and the memory that loading takes.

python benchmarks/full_size_weights.py [--size sapiens_0.3b]

Writes a pose model of the official layout with random weights as ``.pth``, TorchScript,
``torch.export`` and safetensors (about 5 GB for the smallest size), loads each in a process of its
own and runs one image of 1024x768. Peak memory is what the process held beyond its imports.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sapiens_lab.models.heads import DeconvHead
from sapiens_lab.models.sapiens import Sapiens
from sapiens_lab.models.vit import vit
from sapiens_lab.weights.families.sapiens_v1 import to_official
from sapiens_lab.weights.model import load_model

FILES = ("model.pth", "torchscript.pt2", "export.pt2", "model.safetensors")
IMAGE = (1, 3, 1024, 768)


class Official(nn.Module):
    """Parameters under their official names; what it computes does not matter here."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in state.items():
            owner: nn.Module = self
            *path, leaf = name.split(".")
            for part in path:
                if part not in dict(owner.named_children()):
                    owner.add_module(part, nn.Module())
                owner = owner.get_submodule(part)
            owner.register_parameter(leaf, nn.Parameter(value, requires_grad=False))

    def forward(self, image: Tensor) -> Tensor:
        """Return something small that depends on the input."""
        return image.mean()


def write(folder: Path, size: str) -> None:
    """Write the four files."""
    torch.manual_seed(0)
    model = Sapiens(
        vit(size, image_size=IMAGE[2:], patch_padding=2),  # type: ignore[arg-type]  # checked there
        head=lambda d: DeconvHead(
            d, out_channels=308, deconv_channels=[768] * 2, conv_channels=[768] * 2
        ),
    )
    state = to_official(model.state_dict(), pose=True)
    torch.save({"state_dict": state, "meta": {}}, folder / FILES[0])
    wrapper, example = Official(state), torch.zeros(1, 3, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(wrapper, example).save(str(folder / FILES[1]))
        torch.export.save(torch.export.export(wrapper, (example,)), folder / FILES[2])
    save_file(state, folder / FILES[3])


def peak_memory() -> int:
    """Return the most memory this process has held [bytes]; Linux, mapped files included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def load(path: Path) -> None:
    """Load one file, print the memory it took, and write the output beside it."""
    before = peak_memory()
    model = load_model(path, task="pose")
    print(json.dumps({"bytes": peak_memory() - before}))
    torch.manual_seed(1)
    with torch.inference_mode():
        save_file({"output": model(torch.rand(IMAGE) * 255)}, path.with_suffix(".out"))


def main() -> None:
    """Run one file, or all of them in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="sapiens_0.3b")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load is not None:
        load(arguments.load)
        return
    table = Table("file", "GB", "peak / size", "largest difference")
    with TemporaryDirectory() as name:
        folder = Path(name)
        subprocess_write = [sys.executable, __file__, "--size", arguments.size]
        write(folder, arguments.size)
        first: Tensor | None = None
        for file in FILES:
            path = folder / file
            command = [*subprocess_write, "--load", str(path)]
            shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peak = json.loads(shown.strip().splitlines()[-1])["bytes"]
            output = load_file(path.with_suffix(".out"))["output"]
            first = output if first is None else first
            size = path.stat().st_size
            difference = float((output - first).abs().max())
            table.add_row(file, f"{size / 1e9:.2f}", f"{peak / size:.2f}", f"{difference:.1e}")
    Console().print(table)


if __name__ == "__main__":
    main()
