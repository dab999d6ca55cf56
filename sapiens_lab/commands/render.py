"""``sapiens render``: rendered people, or views of a scan, as files.

    sapiens render --num 1000 --out DIR --size 1024x768
    sapiens render --num 200 --out DIR --mesh person.obj

The same command again continues where it ended. ``docs/data_render.md`` shows what it writes.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from sapiens_lab.commands.errors import reported

if TYPE_CHECKING:
    from sapiens_lab.synthetic.rendering.view import ViewSource

_F = TypeVar("_F", bound=Callable[..., Any])
LARGEST = 4096  # pixels per side
INTERRUPTED = "stopped; every file is whole, and the same command continues from here"
_HIGHEST = 10**8  # numbers of scenes have eight digits
_PEOPLE_ONLY = ("split", "skeleton")
_SCAN_ONLY = ("up", "height_m", "metric", "full_only", "azimuth", "fov", "fill")
_RANGES = ("elevation", "roll", "azimuth", "fov", "fill")
_WORDS = "sapiens_lab.words"
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command, as click has read them; ``None``: not given."""

    num: int
    out: Path
    size: tuple[int, int]  # (height, width)
    seed: int
    start: int
    workers: int | None
    supersample: Literal[1, 2]
    depth_format: Literal["npy", "png16"]
    depth_dtype: Literal["float32", "float16"]
    normal_format: Literal["npy", "png16"]
    elevation: tuple[float, float] | None
    roll: tuple[float, float] | None
    split: Literal["train", "val", "test"] | None
    skeleton: str | None
    mesh: Path | None
    up: Literal["y", "z"] | None
    height_m: float | None
    metric: bool
    full_only: bool
    azimuth: tuple[float, float] | None
    fov: tuple[float, float] | None
    fill: tuple[float, float] | None

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            ValueError: a value is out of range, or two options do not go together.
        """
        if self.num < 1 or self.start < 0 or self.start + self.num > _HIGHEST:
            raise ValueError(
                f"--num {self.num} --start {self.start}: at least one scene, numbered 0 to "
                f"{_HIGHEST - 1}"
            )
        for name, value in (("--seed", self.seed), ("--workers", self.workers or 0)):
            if value < 0:
                raise ValueError(f"{name} {value} must not be negative")
        refused = _PEOPLE_ONLY if self.mesh else _SCAN_ONLY
        wrong = sorted(name for name in refused if getattr(self, name) not in (None, False))
        if wrong:
            named = ", ".join("--" + name.replace("_", "-") for name in wrong)
            raise ValueError(f"{named}: only {'without' if self.mesh else 'with'} --mesh")
        if self.metric and self.height_m is not None:
            raise ValueError("--metric and --height-m: give one of them")
        if self.height_m is not None and self.height_m <= 0:
            raise ValueError(f"--height-m {self.height_m} must be positive")


class _Remembering(click.Command):
    """A command that keeps the words that it was called with: they go into the folder's facts."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words as any command does."""
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)


def _size(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Read ``HxW``."""
    try:
        height, width = (int(part) for part in value.lower().split("x"))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not HxW, e.g. 1024x768") from None
    if not (16 <= height <= LARGEST and 16 <= width <= LARGEST):
        raise click.BadParameter(f"{value}: sides are 16 to {LARGEST} pixels")
    return height, width


def _range(name: str, help_text: str) -> Callable[[_F], _F]:
    return click.option(f"--{name}", type=(float, float), metavar="LOW HIGH", help=help_text)


@click.command(cls=_Remembering)
@click.option("--num", type=int, required=True, help="How many scenes.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--size", callback=_size, default="1024x768", show_default=True, metavar="HxW")
@click.option("--seed", default=0, show_default=True)
@click.option("--start", default=0, help="Number of the first scene, to divide the work.")
@click.option("--workers", type=int, help="Processes; by default as cores and memory allow.")
@click.option("--supersample", type=click.IntRange(1, 2), default=2, help="2 smooths edges.")
@click.option("--depth-format", type=click.Choice(["npy", "png16"]), default="npy",
              help="Meters or millimeters.")  # fmt: skip
@click.option("--depth-dtype", type=click.Choice(["float32", "float16"]), default="float32")
@click.option("--normal-format", type=click.Choice(["npy", "png16"]), default="npy")
@_range("elevation", "Angle at which cameras look down [degrees].")
@_range("roll", "Rotation of the cameras about their axis [degrees].")
@click.option("--split", type=click.Choice(_SPLITS), help="People: disjoint sets of scenes.")
@click.option("--skeleton", help="People: coco17, wholebody133 (default), goliath308 or a file.")
@click.option("--mesh", type=click.Path(path_type=Path),
              help="A scan of your own: OBJ, PLY, GLB, glTF, STL, OFF.")  # fmt: skip
@click.option("--up", type=click.Choice(["y", "z"]), help="Scan: the axis that points up; y.")
@click.option("--height-m", type=float, help="Scan: scale to this height; 1.75.")
@click.option("--metric", is_flag=True, help="Scan: the file is in meters, do not scale.")
@click.option("--full-only", is_flag=True, help="Scan: no close-ups.")
@_range("azimuth", "Scan: angle around it [degrees].")
@_range("fov", "Scan: field of view [degrees].")
@_range("fill", "Scan: fraction of the image that it fills.")
@reported(interrupted=INTERRUPTED)
def render(**options: Any) -> None:
    """Write rendered people, or views of your own scan, as PNG, NPY and JSON."""
    given = Options(**options)
    given.check()
    _run(given)


def _run(options: Options) -> None:
    from rich import filesize
    from rich.console import Console

    from sapiens_lab.anatomy.skeleton import Skeleton
    from sapiens_lab.synthetic.files.export import ExportFolder
    from sapiens_lab.synthetic.files.formats import FileFormats
    from sapiens_lab.synthetic.files.parallel import for_each
    from sapiens_lab.synthetic.files.prepare import progress_bar
    from sapiens_lab.synthetic.people.landmarks import match_landmarks

    skeleton = Skeleton.load(options.skeleton or "wholebody133")
    match_landmarks(skeleton)
    formats = FileFormats(
        depth=options.depth_format, depth_dtype=options.depth_dtype, normal=options.normal_format
    )
    folder = ExportFolder(root=options.out, source=_source(options), formats=formats)
    done = folder.complete()
    wanted = range(options.start, options.start + options.num)
    needed = int(folder.check_room(options.num - sum(index in wanted for index in done)))
    todo = [index for index in wanted if index not in done]  # after the check: it may be long
    most = _suggest_workers(options) if options.workers is None else options.workers
    workers = max(1, min(most, len(todo)))
    context = click.get_current_context()
    folder.open(shlex.join([*context.command_path.split(), *context.meta[_WORDS]]))
    click.echo(
        f"{folder.root}: {len(todo)} of {options.num} scenes to render, about "
        f"{filesize.decimal(needed)}, in {workers} process{'es' if workers > 1 else ''}"
    )
    with progress_bar(Console(highlight=False, soft_wrap=True)) as progress:
        task = progress.add_task("Rendering", total=len(todo))
        try:
            for _ in for_each(folder.write, todo, workers):
                progress.advance(task)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a process ended early, probably for want of memory; give fewer --workers"
            ) from error
    click.echo(f"{folder.finish(skeleton)} scenes in {folder.root}")


def _source(options: Options) -> ViewSource:
    """Return what is to be rendered."""
    from sapiens_lab.synthetic.people.views import SPLITS, PeopleViews, SceneSource
    from sapiens_lab.synthetic.rendering.orbit import Orbit
    from sapiens_lab.synthetic.scans.scan import load_scan
    from sapiens_lab.synthetic.scans.views import ScanViews

    ranges = {
        name if name == "fill" else f"{name}_deg": value
        for name in _RANGES
        if (value := getattr(options, name)) is not None
    }
    if options.mesh is None:
        return PeopleViews(
            SceneSource(
                image_size=options.size,
                seed=options.seed,
                split=SPLITS.index(options.split or "train"),
                supersample=options.supersample,
                **ranges,
            )
        )
    height_m = None if options.metric else options.height_m or 1.75
    return ScanViews(
        scan=load_scan(options.mesh, up=options.up or "y", height_m=height_m),
        image_size=options.size,
        seed=options.seed,
        supersample=options.supersample,
        orbit=Orbit(**ranges),
        close_ups=not options.full_only,
    )


def _suggest_workers(options: Options) -> int:
    """Return a number of processes: at most one per core, and what memory holds.

    Measured: 0.5 GB at 1024x768 and 4.6 GB at 4096x3072 with ``--supersample 2``, a third of the
    growth with 1.
    """
    cores = os.cpu_count() or 1
    if not hasattr(os, "sysconf"):
        return cores
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    height, width = options.size
    each = 0.3e9 + (360 if options.supersample == 2 else 120) * height * width
    return max(1, min(cores, int(0.8 * memory / each)))
