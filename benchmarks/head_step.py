"""What an in-place activation costs the head: ``python benchmarks/head_step.py``.

Forward and backward of the head as it is, and with ``silu(instance_norm(x), inplace=True)``. The
norm returns a view, so autograd copies a whole map for each write into it. Both take turns in one
process; read the ratio. On a GPU, peak memory stands beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from sapiens_lab.models.heads import DeconvHead


class InPlaceHead(DeconvHead):
    """The head that writes into the output of its norms."""

    def forward(self, features: Tensor) -> Tensor:
        """Return the same maps."""
        for stage in (*self.deconvs, *self.convs):
            features = F.silu(F.instance_norm(stage(features)), inplace=True)
        out: Tensor = self.out(self.dropout(features))
        return out


def step(head: DeconvHead, features: Tensor) -> float:
    """Return the seconds of a step."""
    if features.is_cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    head(features).square().mean().backward()
    head.zero_grad()
    if features.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_mib(run: Callable[[], object]) -> float:
    """Return the peak memory of a call on the GPU."""
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated() / 2**20


def main() -> None:
    """Print the median step of both heads and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--features", type=int, nargs=2, default=(16, 12), help="height and width")
    parser.add_argument("--width", type=int, default=64, help="channels of the head")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    heads = {}
    for name, kind in (("in place", InPlaceHead), ("as it is", DeconvHead)):
        torch.manual_seed(0)
        widths = [arguments.width] * 2
        head = kind(192, out_channels=17, deconv_channels=widths, conv_channels=widths)
        heads[name] = head.to(device)
    features = torch.randn(arguments.batch, 192, *arguments.features, device=device)
    features.requires_grad_()
    times: dict[str, list[float]] = {name: [] for name in heads}
    for i in range(arguments.rounds + 2):
        for name, head in heads.items():
            seconds = step(head, features)
            if i >= 2:
                times[name].append(seconds)
    console = Console(highlight=False)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in medians.items():
        memory = (
            f"  {peak_mib(lambda h=heads[name]: step(h, features)):.0f} MiB"
            if device == "cuda"
            else ""
        )
        console.print(f"{name}: {1e3 * seconds:.1f} ms{memory}")
    ratio = statistics.median(b / a for a, b in zip(*times.values(), strict=True))
    console.print(f"ratio of a step, median of pairs: {ratio:.2f}")


if __name__ == "__main__":
    main()
