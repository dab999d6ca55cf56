"""Milliseconds of a metric update at 1024x768: ``python benchmarks/dense_metrics.py``.

On one thread, after a warm-up. The arg max of 28 logits is shown beside: it costs more than mIoU.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.metrics.depth import DepthErrors
from sapiens_lab.metrics.normal import AngularErrors
from sapiens_lab.metrics.segmentation import MeanIoU

H, W, REPEATS = 1024, 768, 10


def milliseconds(call: Callable[[], object]) -> float:
    """Return the best of several runs: the machine's other work only ever adds."""
    call()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e3 * min(times)


def main() -> None:
    """Time every metric on random maps with a valid half."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    parts = Parts.load("goliath28")
    ids, labels = (torch.randint(0, 28, (H, W), dtype=torch.uint8) for _ in range(2))
    depth, target = torch.rand(H, W), torch.rand(H, W)
    valid = torch.zeros(H, W, dtype=torch.bool)
    valid[:, : W // 2] = True
    normal, truth = (F.normalize(torch.randn(3, H, W), dim=0) for _ in range(2))
    logits = torch.randn(28, H, W)
    iou, angle = MeanIoU(classes=parts.classes), AngularErrors()
    raw, aligned = DepthErrors(alignment="raw"), DepthErrors(alignment="scale_shift")
    rows = {
        "mIoU, 28 classes": lambda: iou.update(ids, labels),
        "depth, raw": lambda: raw.update(depth, target, valid),
        "depth, scale and shift": lambda: aligned.update(depth, target, valid),
        "angular error": lambda: angle.update(normal, truth, valid),
        "(arg max of 28 logits)": lambda: logits.argmax(0),
    }
    table = Table("metric", "ms")
    for name, call in rows.items():
        table.add_row(name, f"{milliseconds(call):.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
