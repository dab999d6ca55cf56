"""Time the heatmap codec against a loop over keypoints: ``python benchmarks/heatmap_codec.py``.

Both run in one process on one thread, 308 points at 1024x768 with heatmaps of 256x192. The loop is
the plain way to write the same arithmetic with NumPy and OpenCV, one map at a time. Encoding can
hardly gain: most of its time goes into the first touch of 60 MB, the last row of the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sapiens_lab.heatmaps import LOG_MAX, LOG_MIN, HeatmapCodec

INPUT, SIZE, SIGMA, KEYPOINTS, REPEATS = (1024, 768), (256, 192), 6.0, 308, 7
TO_HEATMAP = np.array([(SIZE[1] - 1) / (INPUT[1] - 1), (SIZE[0] - 1) / (INPUT[0] - 1)])


def encode_loop(xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw one Gaussian after the other into ``(K, h, w)``."""
    h, w = SIZE
    radius = int(3 * SIGMA)
    heatmap = np.zeros((len(xy), h, w), np.float32)
    for k, (mx, my) in enumerate(xy * TO_HEATMAP):
        ax, ay = int(mx + 0.5), int(my + 0.5)
        x = np.arange(max(ax - radius, 0), min(ax + radius + 1, w))
        y = np.arange(max(ay - radius, 0), min(ay + radius + 1, h))
        squared = (x[None] - mx) ** 2 + (y[:, None] - my) ** 2
        heatmap[k, y[0] : y[-1] + 1, x[0] : x[-1] + 1] = np.exp(-squared / (2 * SIGMA**2))
    return heatmap


def decode_loop(heatmap: NDArray[np.float32]) -> NDArray[np.float64]:
    """Blur, take the logarithm and refine, one map after the other; ``(K, 2)`` input pixels."""
    return np.asarray(np.stack([_decode_one(one) for one in heatmap]) / TO_HEATMAP)


def _decode_one(heatmap: NDArray[np.float32]) -> NDArray[np.float64]:
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    blurred = cv2.GaussianBlur(np.pad(heatmap, 5), (11, 11), 0)[5:-5, 5:-5]
    blurred = blurred * (heatmap.max() / blurred.max())
    f = np.pad(np.log(np.clip(blurred, LOG_MIN, LOG_MAX)), 1, mode="edge")
    f = f[y : y + 3, x : x + 3]
    gradient = np.array([f[1, 2] - f[1, 0], f[2, 1] - f[0, 1]]) / 2
    dxx, dyy = f[1, 2] - 2 * f[1, 1] + f[1, 0], f[2, 1] - 2 * f[1, 1] + f[0, 1]
    dxy = (f[2, 2] - f[1, 2] - f[2, 1] + 2 * f[1, 1] - f[1, 0] - f[0, 1] + f[0, 0]) / 2
    hessian = np.array([[dxx, dxy], [dxy, dyy]]) + np.finfo(np.float32).eps * np.eye(2)
    step: NDArray[np.float64] = np.linalg.solve(hessian, gradient)
    return np.array([x, y]) - step


def touch_memory() -> None:
    """Make the system hand over every page of the heatmaps, and no more."""
    np.zeros(KEYPOINTS * SIZE[0] * SIZE[1], np.float32)[::1024] = 1


def milliseconds(function: Callable[..., Any], *args: Any) -> float:
    """Return the fastest of several calls after one to warm up."""
    times = []
    function(*args)
    for _ in range(REPEATS):
        start = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main() -> None:
    """Check that both give the same and print a table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    xy = (rng.random((KEYPOINTS, 2)) * (INPUT[1] - 1, INPUT[0] - 1)).astype(np.float32)
    codec = HeatmapCodec(INPUT, heatmap_size=SIZE, sigma=SIGMA)
    points, visible = torch.from_numpy(xy)[None], torch.ones(1, KEYPOINTS)
    heatmap, _ = codec.encode(points, visible)
    looped = encode_loop(xy)
    print(f"largest difference: encode {np.abs(heatmap[0].numpy() - looped).max():.1e}, ", end="")
    print(
        f"decode {np.abs(codec.decode(heatmap)[0][0].numpy() - decode_loop(looped)).max():.1e} px"
    )
    rows = {
        "encode": (milliseconds(encode_loop, xy), milliseconds(codec.encode, points, visible)),
        "decode": (milliseconds(decode_loop, looped), milliseconds(codec.decode, heatmap)),
    }
    rows["both"] = (rows["encode"][0] + rows["decode"][0], rows["encode"][1] + rows["decode"][1])
    print(f"{'':8}{'loop [ms]':>12}{'codec [ms]':>12}{'ratio':>8}")
    for name, (loop, ours) in rows.items():
        print(f"{name:8}{loop:12.1f}{ours:12.1f}{loop / ours:8.1f}")
    touch = milliseconds(touch_memory)
    print(f"memory  {touch:12.1f}{touch:12.1f}")


if __name__ == "__main__":
    main()
