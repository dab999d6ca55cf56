"""Time the renderer of synthetic people, stage by stage, with both rasterizers in one run.

    OMP_NUM_THREADS=1 python benchmarks/render_people.py --sizes 128x96 256x192 --scenes 40

Prints milliseconds per scene on one thread. The back ends take turns scene by scene, so that
whatever else the machine does falls on both alike; the quickest of ``--repeats`` rounds counts.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.table import Table

from sapiens_lab.synthetic.files.cache import SceneCache
from sapiens_lab.synthetic.people import person, scene, surface
from sapiens_lab.synthetic.people.body import load_body
from sapiens_lab.synthetic.people.landmarks import load_landmarks
from sapiens_lab.synthetic.people.regions import load_regions
from sapiens_lab.synthetic.people.views import SceneSource
from sapiens_lab.synthetic.rendering import lighting, orbit
from sapiens_lab.synthetic.rendering.raster import Backend

# Stage -> the function that does it, where its caller looks it up. A stage holds its inner ones.
STAGES: dict[str, tuple[Any, str]] = {
    "person": (scene, "build_person"),
    "  pose without collisions": (person, "resolve"),
    "  clothes": (person, "_dress"),
    "  skin and scalp": (person, "_skin"),
    "  joining, normals": (person, "join"),
    "camera": (orbit.Orbit, "sample"),
    "shadow map": (lighting.ShadowMap, "cast"),
    "surface": (scene, "find_surface"),
    "  rasterizing": (surface, "rasterize"),
    "  materials": (surface, "_materials"),
    "shading": (scene, "shade"),
    "background": (scene.backgrounds, "paint"),
    "blending": (scene, "blend"),
    "tone mapping": (scene, "tone_map"),
    "annotating": (scene, "_annotate"),
}


def watch(times: dict[str, float]) -> None:
    """Let every stage add the time it takes [s] to ``times``."""
    for stage, (owner, name) in STAGES.items():
        setattr(owner, name, _timed(getattr(owner, name), times, stage))


def _timed(function: Callable[..., Any], times: dict[str, float], stage: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            times[stage] += time.perf_counter() - start

    return run


def measure(
    size: tuple[int, int],
    backends: list[Backend],
    times: dict[str, float],
    *,
    scenes: int,
    supersample: int,
    repeats: int,
) -> dict[str, dict[str, float]]:
    """Return backend -> stage -> milliseconds per scene, of the quickest round."""
    best: dict[str, dict[str, float]] = {}
    ss: Any = supersample
    for name in backends:  # compilation and tables are not part of it
        scene.render_scene(0, image_size=size, supersample=ss, backend=name)
    for _ in range(repeats):
        totals: dict[str, dict[str, float]] = {name: defaultdict(float) for name in backends}
        for seed in range(scenes):
            for name in backends:
                times.clear()
                start = time.perf_counter()
                scene.render_scene(seed, image_size=size, supersample=ss, backend=name)
                totals[name]["all"] += time.perf_counter() - start
                for stage, seconds in times.items():
                    totals[name][stage] += seconds
        for name, total in totals.items():
            mean = {stage: 1e3 * seconds / scenes for stage, seconds in total.items()}
            if name not in best or mean["all"] < best[name]["all"]:
                best[name] = mean
    return best


def show_start(console: Console) -> None:
    """Print what a process pays once."""
    start = time.perf_counter()
    load_body()
    load_regions()
    load_landmarks()
    console.print(f"body, regions, landmarks: {1e3 * (time.perf_counter() - start):.0f} ms, once")
    start = time.perf_counter()
    scene.render_scene(0, image_size=(64, 48))
    console.print(f"first scene: {1e3 * (time.perf_counter() - start):.0f} ms")


def show_cache(console: Console, size: tuple[int, int], scenes: int) -> None:
    """Print size and reading time of cached scenes."""
    with tempfile.TemporaryDirectory() as folder:
        source = SceneSource(image_size=size, seed=0, split=0)
        cache = SceneCache(root=Path(folder), source=source, max_bytes=1e12)
        for index in range(scenes):
            cache.make(index)
        total = sum(path.stat().st_size for path in cache.folder.glob("*.zip"))
        start = time.perf_counter()
        for index in range(scenes):
            cache.load(index)
        reading = 1e3 * (time.perf_counter() - start) / scenes
    console.print(f"{size[0]}x{size[1]} cached: {total / scenes / 1e3:.0f} kB, {reading:.2f} ms")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["128x96", "256x192"])
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--supersample", type=int, choices=(1, 2), default=2)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    console = Console()
    backends: list[Backend] = ["numpy"]
    if importlib.util.find_spec("numba"):
        backends.append("numba")
    show_start(console)
    sizes = [(int(h), int(w)) for h, w in (text.split("x") for text in args.sizes)]
    table = Table("ms per scene", *(f"{h}x{w} {name}" for h, w in sizes for name in backends))
    times: dict[str, float] = defaultdict(float)
    watch(times)
    results = [
        measure(
            size,
            backends,
            times,
            scenes=args.scenes,
            supersample=args.supersample,
            repeats=args.repeats,
        )
        for size in sizes
    ]
    for stage in [*STAGES, "all"]:
        row = [f"{result[name].get(stage, 0):.1f}" for result in results for name in backends]
        table.add_row(stage, *row, style="bold" if stage == "all" else None)
    console.print(table)
    for size in sizes:
        show_cache(console, size, min(args.scenes, 20))


if __name__ == "__main__":
    main()
