"""``sapiens shards``: a tree of images as tar archives, and checking archives.

    sapiens shards make IMAGES --out FOLDER
    sapiens shards check FOLDER
    sapiens train experiment=pretrain/folder data=image_shards data.root=FOLDER

Images are copied byte for byte; what cannot be decoded is left out and listed. The same command
again continues where it ended. ``check`` reads the archives of others (WebDataset) as well.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sapiens_lab.commands.errors import reported

if TYPE_CHECKING:
    from rich.progress import Progress

INTERRUPTED = "stopped; every archive is whole, and the same command continues from here"
_Path = click.Path(path_type=Path)
_workers = click.option(
    "--workers", type=click.IntRange(min=1), default=lambda: os.cpu_count() or 1, help="Threads."
)


def _folder(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    if not path.is_dir():
        raise click.BadParameter(f"{path} is not a folder (looked from {Path.cwd()})")
    return path


@click.group()
def shards() -> None:
    """Pack a tree of images into tar archives, or check archives."""


@shards.command()
@click.argument("source", type=_Path, callback=_folder)
@click.option("--out", type=_Path, required=True, help="For the archives.")
@click.option("--shard-mb", type=float, default=1000, show_default=True, help="Of one [1e6 bytes].")
@click.option("--val-fraction", type=float, default=0.02, show_default=True, help="Held out.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order of the images.")
@_workers
@reported(interrupted=INTERRUPTED)
def make(
    *, source: Path, out: Path, shard_mb: float, val_fraction: float, seed: int, workers: int
) -> None:
    """Pack the tree of images SOURCE; its train/ and val/ are kept, if it has them."""
    from sapiens_lab.data.shards.pack import FAULTY_FILE, begin, plan_shards, write_shard

    plan, planned = plan_shards(
        source, out, shard_mb=shard_mb, val_fraction=val_fraction, seed=seed
    )
    begin(out, plan)
    missing = [shard for shard in planned if not shard.path.exists()]
    if len(missing) < len(planned):
        click.echo(f"{len(planned) - len(missing)} of {len(planned)} archives are there already")
    with _progress() as progress:
        task = progress.add_task("Packing", total=sum(len(shard.names) for shard in missing))
        for shard in missing:
            for fault in write_shard(source, shard, num_workers=workers):
                progress.advance(task)
                if fault:
                    progress.console.print(f"left out: {fault}", markup=False)
    click.echo(f"{plan.num_images} images in {len(planned)} archives: {out}")
    listed = out / FAULTY_FILE
    if listed.is_file():
        count = len(set(listed.read_text().splitlines()))
        click.echo(f"{count} of them cannot be decoded and were left out: {listed}")


@shards.command()
@click.argument("folder", type=_Path, callback=_folder)
@_workers
@reported()
def check(*, folder: Path, workers: int) -> None:
    """Decode every image of every archive below FOLDER; the status is 1 if any is damaged."""
    from sapiens_lab.data.discovery.trees import find_archives
    from sapiens_lab.data.shards.pack import check_archive
    from sapiens_lab.data.shards.tar_index import CorruptArchiveError, build_index

    archives = find_archives(folder, None, val_fraction=None)
    faults: list[str] = []
    total = 0
    with _progress() as progress:
        task = progress.add_task("Checking", total=None)
        rows = {}
        for archive in archives:
            try:
                rows[archive] = len(build_index(archive))  # again: the table may be out of date
            except CorruptArchiveError as error:
                faults.append(str(error))
        progress.update(task, total=sum(rows.values()))
        for archive in rows:
            for fault in check_archive(archive, num_workers=workers):
                total += 1
                progress.advance(task)
                faults += [fault] if fault else []
    for fault in faults:
        click.echo(fault)
    click.echo(f"{total} images in {len(archives)} archives; {len(faults)} faults")
    if faults:
        raise SystemExit(1)


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"),
        TimeRemainingColumn(), console=Console(highlight=False, soft_wrap=True),
    )  # fmt: skip
