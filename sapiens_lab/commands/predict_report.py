"""What ``sapiens predict`` says at its end: how many, how fast, and which images failed and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import click

_NAMED = 5  # images that a message names


@dataclass(slots=True)
class Counts:
    """What became of the images."""

    written: int = 0
    skipped: int = 0
    without_people: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)  # names and reasons


def reason(error: Exception | None) -> str:
    """Return why an image could not be predicted, in a line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return first.replace("limit_scale=4", "--limit-scale 4")


def report(counts: Counts, seconds: float, stages: str, places: list[Path]) -> None:
    """Say what happened.

    Raises:
        SystemExit: with status 1, where images failed.
    """
    rate = f", {counts.written / seconds:.1f} images/s" if counts.written else ""
    line = f"{counts.written} images in {seconds:.1f} s{rate}"
    if counts.skipped:
        line += f"; {counts.skipped} were complete before"
    click.echo(line)
    if counts.written:
        click.echo(stages)
    if counts.without_people:
        names = ", ".join(counts.without_people[:_NAMED])
        more = ", ..." if len(counts.without_people) > _NAMED else ""
        click.echo(f"no person was found in {len(counts.without_people)}: {names}{more}")
    for place in places:
        click.echo(str(place))
    report_failures(counts, "images")


def report_failures(counts: Counts, kind: str) -> None:
    """Name what failed, with its reason.

    Raises:
        SystemExit: with status 1, where something did.
    """
    if counts.failed:
        click.secho(f"{len(counts.failed)} {kind} failed:", fg="red", err=True)
        for name, reason in counts.failed:
            click.echo(f"  {reason if name in reason else f'{name}: {reason}'}", err=True)
        raise SystemExit(1)
