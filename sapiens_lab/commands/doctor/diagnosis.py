"""``Diagnosis``: what the doctor has to say, as plain values; pages and JSON are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["error", "warning", "note", "ok"]

SCHEMA = 1  # of ``--json``; a key that goes or changes its meaning raises it
STATUSES: tuple[Status, ...] = ("error", "warning", "note", "ok")  # in the order of a page


def plural(status: Status, number: int) -> str:
    """Return how so many lines of a status are called."""
    if status == "ok":
        return "OK"
    return status if number == 1 else f"{status}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was looked at."""

    status: Status
    name: str  # of what was looked at
    text: str  # what was found
    remedy: str = ""
    items: tuple[str, ...] = ()  # names of the first few that are affected
    count: int = 0  # of all that are affected
    source: str = ""  # the file or folder that it is about


def printable(text: str) -> str:
    """Write out what a terminal would obey or no encoding knows; file names may hold anything."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The lines of one subject, the worst first."""

    name: str
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, name: str, lines: Iterable[Line]) -> Section:
        """Return a section with its lines in order."""
        order = sorted(lines, key=lambda line: STATUSES.index(line.status))
        return cls(name=name, lines=tuple(order))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The distribution of one quantity over the samples of a split that were read."""

    count: int
    low: float
    median: float
    high: float


@dataclass(slots=True, kw_only=True)
class Diagnosis:
    """Everything that was found out."""

    command: Sequence[str]  # the words after ``sapiens doctor``
    version: str  # of this package
    time: str  # ISO 8601
    sections: list[Section] = field(default_factory=list)
    statistics: Mapping[str, Mapping[str, Summary]] = field(default_factory=dict)

    def counts(self) -> dict[Status, int]:
        """Return how many lines have each status."""
        lines = [line for section in self.sections for line in section.lines]
        return {status: sum(line.status == status for line in lines) for status in STATUSES}

    def verdict(self) -> str:
        """Return the counts as a sentence."""
        counts = self.counts()
        return ", ".join(f"{number} {plural(status, number)}" for status, number in counts.items())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as documented in docs/doctor.md."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "time": self.time,
            "command": list(self.command),
            "counts": self.counts(),
            "sections": [
                {"name": section.name, "lines": [asdict(line) for line in section.lines]}
                for section in self.sections
            ],
            "statistics": {
                name: {split: asdict(summary) for split, summary in splits.items()}
                for name, splits in self.statistics.items()
            },
        }
