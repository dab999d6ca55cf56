"""The command ``sapiens-render``: rendered people, or views of a scan, as files.

    sapiens-render --num 1000 --out DIR --size 1024x768
    sapiens-render --num 200 --out DIR --mesh person.obj

The same command again goes on where it ended. ``docs/data_render.md`` shows what it writes.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from rich import filesize
from rich.console import Console

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.synthetic.files.export import ExportFolder
from sapiens_lab.synthetic.files.formats import FileFormats
from sapiens_lab.synthetic.files.parallel import for_each
from sapiens_lab.synthetic.files.prepare import progress_bar
from sapiens_lab.synthetic.people.landmarks import match_landmarks
from sapiens_lab.synthetic.people.views import SPLITS, PeopleViews, SceneSource
from sapiens_lab.synthetic.rendering.orbit import Orbit
from sapiens_lab.synthetic.rendering.view import ViewSource
from sapiens_lab.synthetic.scans.scan import load_scan
from sapiens_lab.synthetic.scans.views import ScanViews

LARGEST = 4096  # pixels a side
_HIGHEST = 10**8  # numbers of scenes have eight digits
_PEOPLE_ONLY, _SCAN_ONLY = ("split", "skeleton"), ("up", "height_m", "metric", "full_only")
_CAMERA = {"elevation": "at which cameras look down", "roll": "of their turn"}  # ranges of all
_ORBIT = ("azimuth", "fov", "fill")  # ranges of those around a scan


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 after a mistake, 130 after Ctrl-C."""
    argv = sys.argv[1:] if argv is None else list(argv)
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        _run(arguments, shlex.join(["sapiens-render", *argv]), console)
        return 0
    except KeyboardInterrupt:
        console.print("stopped; every file is whole, and the same command goes on from here")
        return 130
    except BrokenProcessPool:
        message = "a process ended early, probably for want of memory; give fewer --workers"
    except (ValueError, OSError, ImportError) as error:  # a user's mistake, or the disk's
        message = str(error)
    Console(stderr=True, soft_wrap=True).print(f"error: {message}", markup=False, highlight=False)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sapiens-render",
        description="Write rendered people, or views of your own scan, as PNG, NPY and JSON.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--num", type=int, required=True, help="how many scenes")
    add("--out", type=Path, required=True, metavar="DIR", help="folder, made if needed")
    add("--size", type=_size, default=(1024, 768), metavar="HxW", help="default 1024x768")
    add("--seed", type=int, default=0)
    add("--start", type=int, default=0, help="number of the first scene (to share the work)")
    add("--workers", type=int, default=None, help="processes; by default as cores and memory allow")
    add("--supersample", type=int, choices=(1, 2), default=2, help="2 smooths edges, 1 is faster")
    add("--depth-format", choices=("npy", "png16"), default="npy", help="meters or millimeters")
    add("--depth-dtype", choices=("float32", "float16"), default="float32", help="of npy")
    add("--normal-format", choices=("npy", "png16"), default="npy")
    for name, meaning in _CAMERA.items():
        help_text = f"range of the angle {meaning}, degrees"
        add(f"--{name}", type=float, nargs=2, metavar=("LOW", "HIGH"), help=help_text)
    people = parser.add_argument_group("rendered people")
    people.add_argument("--split", choices=SPLITS, help="disjoint sets of scenes; default train")
    people.add_argument(
        "--skeleton", help="coco17, wholebody133 (default), goliath308, or a file that defines one"
    )
    scan = parser.add_argument_group("a scan of your own")
    scan.add_argument("--mesh", type=Path, metavar="FILE", help="OBJ, PLY, GLB, glTF, STL, OFF")
    scan.add_argument("--up", choices=("y", "z"), help="which axis points up; default y")
    unit = scan.add_mutually_exclusive_group()
    unit.add_argument("--height-m", type=float, help="scale to this height; default 1.75")
    unit.add_argument("--metric", action="store_true", help="the file is in meters: do not scale")
    scan.add_argument("--full-only", action="store_true", help="no close-ups")
    for name in _ORBIT:
        unit_name = "fraction of the image" if name == "fill" else "degrees"
        scan.add_argument(
            f"--{name}", type=float, nargs=2, metavar=("LOW", "HIGH"), help=f"range, {unit_name}"
        )
    return parser


def _size(text: str) -> tuple[int, int]:
    """Read ``HxW``."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW, e.g. 1024x768") from None
    if not (16 <= height <= LARGEST and 16 <= width <= LARGEST):
        raise argparse.ArgumentTypeError(f"{text}: sides are 16 to {LARGEST} pixels")
    return height, width


def _run(arguments: argparse.Namespace, command: str, console: Console) -> None:
    first, count = arguments.start, arguments.num
    if count < 1 or first < 0 or first + count > _HIGHEST:
        raise ValueError(
            f"--num {count} --start {first}: at least one scene, numbered 0 to {_HIGHEST - 1}"
        )
    if arguments.seed < 0:
        raise ValueError(f"--seed {arguments.seed} must not be negative")
    skeleton = Skeleton.load(arguments.skeleton or "wholebody133")
    match_landmarks(skeleton)
    formats = FileFormats(
        depth=arguments.depth_format,
        depth_dtype=arguments.depth_dtype,
        normal=arguments.normal_format,
    )
    folder = ExportFolder(root=arguments.out, source=_source(arguments), formats=formats)
    done = folder.complete()
    wanted = range(first, first + count)
    left = count - sum(index in wanted for index in done)
    needed = int(folder.check_room(left))
    most = _workers(arguments)
    folder.open(command)
    todo = [index for index in wanted if index not in done]
    workers = max(1, min(most, len(todo)))
    console.print(
        f"{folder.root}: {len(todo)} of {count} scenes to render, about "
        f"{filesize.decimal(needed)}, in {workers} process{'es' if workers > 1 else ''}"
    )
    with progress_bar(console) as progress:
        task = progress.add_task("Rendering", total=len(todo))
        for _ in for_each(folder.write, todo, workers):
            progress.advance(task)
    console.print(f"{folder.finish(skeleton)} scenes in {folder.root}")


def _source(arguments: argparse.Namespace) -> ViewSource:
    """Return what is to be rendered."""
    given = {name for name in (*_PEOPLE_ONLY, *_SCAN_ONLY, *_ORBIT) if getattr(arguments, name)}
    wrong = given & set(_PEOPLE_ONLY) if arguments.mesh else given - set(_PEOPLE_ONLY)
    if wrong:
        named = ", ".join("--" + name.replace("_", "-") for name in sorted(wrong))
        raise ValueError(f"{named}: only {'without' if arguments.mesh else 'with'} --mesh")
    ranges: dict[str, Any] = {
        (name if name == "fill" else f"{name}_deg"): tuple(getattr(arguments, name))
        for name in (*_CAMERA, *_ORBIT)
        if getattr(arguments, name)
    }
    if arguments.mesh is None:
        return PeopleViews(
            SceneSource(
                image_size=arguments.size,
                seed=arguments.seed,
                split=SPLITS.index(arguments.split or "train"),
                supersample=arguments.supersample,
                **ranges,
            )
        )
    height_m = 1.75 if arguments.height_m is None else arguments.height_m
    if height_m <= 0:
        raise ValueError(f"--height-m {height_m} must be positive")
    return ScanViews(
        scan=load_scan(
            arguments.mesh,
            up=arguments.up or "y",
            height_m=None if arguments.metric else height_m,
        ),
        image_size=arguments.size,
        seed=arguments.seed,
        supersample=arguments.supersample,
        orbit=Orbit(**ranges),
        close_ups=not arguments.full_only,
    )


def _workers(arguments: argparse.Namespace) -> int:
    """Return the number of processes: at most one a core, and what memory holds.

    Measured: 0.5 GB at 1024x768 and 4.6 GB at 4096x3072 with two samples a pixel, a third of the
    growth with one.
    """
    if arguments.workers is not None:
        if arguments.workers < 0:
            raise ValueError(f"--workers {arguments.workers} must not be negative")
        return int(arguments.workers)
    cores = os.cpu_count() or 1
    if not hasattr(os, "sysconf"):
        return cores
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    height, width = arguments.size
    each = 0.3e9 + (360 if arguments.supersample == 2 else 120) * height * width
    return max(1, min(cores, int(0.8 * memory / each)))


if __name__ == "__main__":
    sys.exit(main())
