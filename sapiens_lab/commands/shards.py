"""The command ``sapiens-shards``: a tree of images as tar archives, and checking archives.

    sapiens-shards make IMAGES --out FOLDER
    sapiens-shards check FOLDER
    python train.py experiment=pretrain/folder data=image_shards data.root=FOLDER

Images are copied byte for byte; what cannot be decoded is left out and listed. The same command
again goes on where it ended. ``check`` reads the archives of others (WebDataset) as well.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sapiens_lab.data.discovery.trees import find_archives
from sapiens_lab.data.shards.pack import (
    FAULTY_FILE,
    begin,
    check_archive,
    plan_shards,
    write_shard,
)
from sapiens_lab.data.shards.tar_index import CorruptArchiveError, build_index


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 after a mistake or a fault, 130 after Ctrl-C."""
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        return int(arguments.run(arguments, console))
    except KeyboardInterrupt:
        console.print("stopped; every archive is whole, and the same command goes on from here")
        return 130
    except (ValueError, OSError) as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {error}", markup=False)
        return 1


def _make(arguments: argparse.Namespace, console: Console) -> int:
    plan, shards = plan_shards(
        arguments.source,
        arguments.out,
        shard_mb=arguments.shard_mb,
        val_fraction=arguments.val_fraction,
        seed=arguments.seed,
    )
    begin(arguments.out, plan)
    missing = [shard for shard in shards if not shard.path.exists()]
    if len(missing) < len(shards):
        console.print(f"{len(shards) - len(missing)} of {len(shards)} archives are there already")
    with _progress(console) as progress:
        task = progress.add_task("Packing", total=sum(len(shard.names) for shard in missing))
        for shard in missing:
            for fault in write_shard(arguments.source, shard, num_workers=arguments.workers):
                progress.advance(task)
                if fault:
                    progress.console.print(f"left out: {fault}", markup=False)
    console.print(f"{plan.num_images} images in {len(shards)} archives: {arguments.out}")
    listed = arguments.out / FAULTY_FILE
    if listed.is_file():
        count = len(set(listed.read_text().splitlines()))
        console.print(f"{count} of them cannot be decoded and were left out: {listed}")
    return 0


def _check(arguments: argparse.Namespace, console: Console) -> int:
    archives = find_archives(arguments.folder, None, val_fraction=None)
    faults: list[str] = []
    total = 0
    with _progress(console) as progress:
        task = progress.add_task("Checking", total=None)
        rows = {}
        for archive in archives:
            try:
                rows[archive] = len(build_index(archive))  # anew: the table may be out of date
            except CorruptArchiveError as error:
                faults.append(str(error))
        progress.update(task, total=sum(rows.values()))
        for archive in rows:
            for fault in check_archive(archive, num_workers=arguments.workers):
                total += 1
                progress.advance(task)
                faults += [fault] if fault else []
    for fault in faults:
        console.print(fault, markup=False)
    console.print(f"{total} images in {len(archives)} archives; {len(faults)} faults")
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sapiens-shards",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="make|check")
    make = commands.add_parser("make", help="pack a tree of images")
    make.add_argument("source", type=_folder, help="any tree of images; train/ and val/ are kept")
    make.add_argument("--out", type=Path, required=True, help="folder of the archives")
    make.add_argument("--shard-mb", type=float, default=1000, help="size of one [1e6 bytes]")
    make.add_argument("--val-fraction", type=float, default=0.02, help="held out, by checksum")
    make.add_argument("--seed", type=int, default=0, help="of the order of the images")
    make.set_defaults(run=_make)
    check = commands.add_parser("check", help="decode every image of every archive")
    check.add_argument("folder", type=_folder)
    check.set_defaults(run=_check)
    for command in (make, check):
        command.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads")
    return parser


def _folder(word: str) -> Path:
    path = Path(word)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{word} is not a folder (looked from {Path.cwd()})")
    return path


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"),
        TimeRemainingColumn(), console=console,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
