"""What a step of masked pretraining costs: ``python benchmarks/pretrain_step.py``.

Forward, backward and AdamW on random images, with and without activation checkpointing and
``torch.compile``: images per second, peak memory, and the fraction of the device's peak that the
model's own arithmetic reaches (MFU; recomputing does not count). Then what the encoder costs on the
visible patches alone against all of them. Meant for a GPU, in bfloat16; on a CPU it shows ratios:

    python benchmarks/pretrain_step.py --sizes small --image-size 256 --batch 2 --no-compile
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from sapiens_lab.losses.pretrain import MaskedPixelLoss
from sapiens_lab.models.mae import MaskedAutoencoder, patchify
from sapiens_lab.models.masking import RandomMasking
from sapiens_lab.models.vit import vit

# Dense bfloat16 peaks of the makers' data sheets [1e12 / s], by a part of the device's name.
PEAKS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "4090": 165.0}
DECODERS = {"tiny": (96, 2, 6)}  # width, blocks, heads; the others have the official one


def autoencoder(size: Any, side: int, masking: float, *, checkpointing: bool) -> MaskedAutoencoder:
    """Return the model of a shipped size."""
    backbone = vit(
        size, image_size=(side, side), class_token=True, patch_padding=0,
        activation_checkpointing=checkpointing,
    )  # fmt: skip
    width, layers, heads = DECODERS.get(size, (512, 8, 16))
    return MaskedAutoencoder(
        backbone, decoder_dim=width, decoder_layers=layers, decoder_heads=heads,
        masking=RandomMasking(masking),
    )  # fmt: skip


class Step:
    """One step of training."""

    def __init__(self, model: MaskedAutoencoder, image: torch.Tensor) -> None:
        self.model, self.image = model, image
        self.loss = MaskedPixelLoss()
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=image.is_cuda)

    def forward(self) -> torch.Tensor:
        """Return the loss."""
        with torch.autocast(self.image.device.type, torch.bfloat16, enabled=self.image.is_cuda):
            output = self.model(self.image)
        patches = patchify(output.image, self.model.backbone.patch_size)
        value: torch.Tensor = self.loss(output.patches, patches, output.mask)
        return value

    def __call__(self) -> None:
        """Do it."""
        self.forward().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def seconds(function: Callable[[], Any], rounds: int, *, is_cuda: bool) -> float:
    """Return the mean time of a call, after two that do not count."""
    for _ in range(2):
        function()
    if is_cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(rounds):
        function()
    if is_cuda:
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / rounds


def compare_encoders(arguments: argparse.Namespace, device: torch.device) -> Iterable[list[str]]:
    """Give, for every size, the encoder's time on all patches and on the visible ones."""
    is_cuda = device.type == "cuda"
    for size in arguments.sizes:
        model = autoencoder(size, arguments.image_size, arguments.masking, checkpointing=False)
        model = model.to(device).eval()
        image = torch.zeros(arguments.batch, 3, *[arguments.image_size] * 2, device=device)
        grid = model.backbone.grid
        mask = model.masking(len(image), grid, device)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=is_cuda):
            full = seconds(
                lambda m=model, x=image: m.backbone.encode(m.backbone.embed(x)),
                arguments.rounds, is_cuda=is_cuda,
            )  # fmt: skip
            visible = seconds(
                lambda m=model, x=image, k=mask: m.encode(x, k), arguments.rounds, is_cuda=is_cuda
            )
        yield [size, f"{1e3 * full:.1f}", f"{1e3 * visible:.1f}", f"{visible / full:.2f}"]


def compare_steps(arguments: argparse.Namespace, device: torch.device) -> Iterable[list[str]]:
    """Give a row for every size and variant."""
    is_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_cuda else "cpu"
    peak = arguments.peak or next((v for key, v in PEAKS.items() if key in name), None)
    compiled = (False,) if arguments.no_compile else (False, True)
    shape = (arguments.batch, 3, arguments.image_size, arguments.image_size)
    image = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    for size in arguments.sizes:
        flops = 0
        for checkpointing, compile_ in product((False, True), compiled):
            if is_cuda:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            label = [size, "yes" if checkpointing else "", "yes" if compile_ else ""]
            try:
                model = autoencoder(
                    size, arguments.image_size, arguments.masking, checkpointing=checkpointing
                ).to(device)
                step = Step(model, image)
                if not flops:
                    with FlopCounterMode(display=False) as counter:
                        step.forward().backward()
                    flops = counter.get_total_flops()
                    step.optimizer.zero_grad()
                if compile_:
                    model.compile()
                spent = seconds(step, arguments.rounds, is_cuda=is_cuda)
            except torch.OutOfMemoryError:
                yield [*label, "out of memory", "", "", "", ""]
                continue
            memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if is_cuda else ""
            mfu = f"{100 * flops / spent / peak / 1e12:.0f} %" if peak else ""
            yield [
                *label, f"{1e3 * spent:.1f}", f"{arguments.batch / spent:.1f}",
                f"{flops / 1e12:.3g}", mfu, memory,
            ]  # fmt: skip
            del model, step


def main() -> None:
    """Measure what the device allows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=["sapiens_0.3b", "sapiens_1b"])
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--masking", type=float, default=0.75)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--peak", type=float, help="of the device in bfloat16 [1e12 / s]")
    parser.add_argument("--no-compile", action="store_true")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    console = Console(width=120)
    table = Table("size", "checkpointing", "compile", "step [ms]", "images/s",
                  "arithmetic [1e12]", "MFU", "peak memory [GiB]")  # fmt: skip
    for row in compare_steps(arguments, device):
        table.add_row(*row)
    console.print(table)
    table = Table("encoder", "all patches [ms]", "visible patches [ms]", "ratio")
    for row in compare_encoders(arguments, device):
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
