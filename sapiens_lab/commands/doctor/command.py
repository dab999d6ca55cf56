"""``sapiens doctor``: what is wrong, or smells, before a run finds it out.

sapiens doctor
sapiens doctor experiment=pose/coco17 data.root=FOLDER --report report.html
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sapiens_lab import __version__
from sapiens_lab.commands.doctor.diagnosis import Diagnosis, Line, Section
from sapiens_lab.commands.doctor.target import check_target
from sapiens_lab.commands.errors import reported

if TYPE_CHECKING:
    from sapiens_lab.commands.doctor.run import Shown

Say = Callable[[str], None]

_OPTIONS = ("--config-dir", "-cd", "--config-name", "-cn", "-m", "--multirun")  # Hydra's


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED, metavar="[KEY=VALUE]...")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False),
              help="Write a page that shows the data: one file, opens offline.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print plain values instead of the page.")
@click.option("--full", is_flag=True, help="Read all images and maps, however long it takes.")
@click.option("--overwrite", is_flag=True, help="Let --report replace any file.")
@reported()
def doctor(
    *,
    overrides: tuple[str, ...],
    report: Path | None,
    as_json: bool,
    full: bool,
    overwrite: bool,
) -> None:
    """Examine the installation; with the words of a run, also its config, data and memory.

    Nothing is trained and nothing downloaded. Ends with status 1 if there are errors.

    sapiens doctor experiment=pose/coco17 data.root=FOLDER
    """
    from rich.console import Console

    _refuse_options(overrides)
    if report is not None:
        check_target(report, overwrite=overwrite)
    with _progress() as say:
        diagnosis, shown = diagnose(overrides, full=full, draws=report is not None, say=say)
        if report is not None:
            from sapiens_lab.commands.doctor.html import write_report

            say("drawing the report")
            write_report(report, diagnosis, shown)
    if as_json:
        click.echo(json.dumps(diagnosis.to_dict(), indent=2))
    else:
        from sapiens_lab.commands.doctor.page import print_page

        print_page(Console(highlight=False), diagnosis)
    if report is not None:
        click.echo(f"report: {report}", err=as_json)
    if diagnosis.counts()["error"]:
        raise SystemExit(1)


def diagnose(
    words: Sequence[str], *, full: bool = False, draws: bool = False, say: Say = lambda text: None
) -> tuple[Diagnosis, Shown | None]:
    """Examine what the words of a command line mean; without any, the environment alone.

    Args:
        words: ``KEY=VALUE``, as for ``sapiens train``.
        full: read all images and maps.
        draws: also draw what a report shows.
        say: what is going on.
    """
    from sapiens_lab.commands.doctor.environment import can_go_on, examine_environment

    time = datetime.now(timezone.utc).isoformat(timespec="seconds")
    diagnosis = Diagnosis(command=list(words), version=__version__, time=time)
    say("looking at the environment")
    environment = examine_environment(_output_root(words))
    diagnosis.sections.append(environment)
    if not words:
        return diagnosis, None
    if not can_go_on(environment):
        line = Line(
            status="note",
            name="config",
            text="config, data, weights and memory wait for the errors of the environment",
        )
        diagnosis.sections.append(Section.of("config", [line]))
        return diagnosis, None
    from sapiens_lab.commands.doctor.run import examine_run

    return diagnosis, examine_run(diagnosis, words, full=full, draws=draws, say=say)


def _refuse_options(words: Sequence[str]) -> None:
    """Refuse options that are neither ours nor tell where configs are.

    Raises:
        click.NoSuchOption: there is one.
    """
    for word in words:
        if word.startswith("-") and word.partition("=")[0] not in _OPTIONS:
            raise click.NoSuchOption(word, possibilities=["--report", "--json", "--full"])


def _output_root(words: Sequence[str]) -> Path:
    given = [word.partition("=")[2] for word in words if word.startswith("output_root=")]
    return Path(given[-1] if given else "outputs")


@contextlib.contextmanager
def _progress() -> Iterator[Say]:
    """Say what is going on, below the page and only where someone watches."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda text: status.update(f"{text} ...")
