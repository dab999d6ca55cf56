"""The page in the terminal: a section after the other, the worst first, readable at 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sapiens_lab.commands.doctor.diagnosis import (
    STATUSES,
    Diagnosis,
    Line,
    Section,
    Status,
    printable,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_STYLES: dict[Status, str] = {
    "error": "bold red",
    "warning": "bold yellow",
    "note": "cyan",
    "ok": "green",
}
_NAME_WIDTH = 14
_MIN_WIDTH = 40


def print_page(console: Console, diagnosis: Diagnosis) -> None:
    """Print all sections and the counts."""
    for section in diagnosis.sections:
        print_section(console, section)
    worst: Status = next((s for s in STATUSES if diagnosis.counts()[s]), "ok")
    console.print(diagnosis.verdict(), style=_STYLES[worst], highlight=False, markup=False)


def print_section(console: Console, section: Section) -> None:
    """Print a title and a row for each line."""
    from rich.padding import Padding
    from rich.table import Table

    console.print(section.name.capitalize(), style="bold", highlight=False, markup=False)
    table = Table.grid(padding=(0, 1))
    table.add_column(width=7)
    table.add_column(width=_NAME_WIDTH)
    table.add_column(overflow="fold", min_width=_MIN_WIDTH if console.width >= 80 else None)
    for line in section.lines:
        table.add_row(
            _styled(line.status, _STYLES[line.status]), _styled(line.name, ""), _body(line)
        )
    console.print(Padding(table, (0, 0, 1, 2)))


def _body(line: Line) -> Text:
    """Return what is beside a line's status: text, names of what is affected, remedy."""
    from rich.text import Text

    body = Text(printable(line.text))
    if line.source and line.source not in line.text:
        body.append(f"\n{printable(line.source)}", style="dim")
    for item in line.items:
        body.append(f"\n- {printable(item)}")
    if line.items and line.count > len(line.items):
        body.append(f"\n- ... and {line.count - len(line.items):,} more", style="dim")
    if line.remedy:
        body.append("\n-> ", style="bold").append(printable(line.remedy))
    return body


def _styled(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(text, style=style, overflow="fold")
