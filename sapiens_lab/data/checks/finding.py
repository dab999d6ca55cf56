"""``Finding``: one fault of a dataset, and how all of them are reported together.

A check looks at values that a reader already has and returns a ``Finding`` or ``None``. It never
opens a file and never raises: whether a fault ends the run is decided here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

log = logging.getLogger(__name__)

Severity = Literal["error", "warning"]
OnError = Literal["raise", "skip"]

NUM_SHOWN = 5  # items of a finding that are named

_SKIP = "data.on_error=skip leaves them out"
_LONG = 60  # characters from which items stand on lines of their own
_NUMBERS = re.compile(r"[\d.,%]+")
_logged: set[str] = set()  # warnings of this process
_records: list[list[Settled]] = []  # of the ``recorded`` blocks in progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong, with which items, and what to do about it.

    ``error`` is a fault that is certain and would spoil training; ``warning`` is what only looks
    like one.
    """

    severity: Severity
    what: str  # with how many of how many
    items: tuple[str, ...] = ()  # names of the first few
    count: int = 1  # of the faulty items
    remedy: str = ""
    rows: NDArray[np.int64] | None = field(default=None, compare=False)  # may be left out
    is_whole: bool = False  # every row is faulty, so that leaving them out leaves nothing

    @property
    def can_skip(self) -> bool:
        """Whether the dataset is of use without the faulty rows."""
        return self.rows is not None and not self.is_whole

    @property
    def kind(self) -> str:
        """What it says, without its numbers: equal for the same fault of more samples."""
        return _kind(self.what)

    def __str__(self) -> str:
        text = self.what
        if self.items:
            is_long = any(len(item) > _LONG for item in self.items)
            more = ("...",) if self.count > len(self.items) else ()
            shown = [*self.items, *more]
            text += ":\n    " + "\n    ".join(shown) if is_long else f": {', '.join(shown)}"
        return f"{text}. {self.remedy}" if self.remedy else text


def of_rows(
    severity: Severity,
    faulty: ArrayLike,
    what: str,
    *,
    name: Callable[[int], str],
    remedy: str,
) -> Finding | None:
    """Return a finding of the faulty rows, ``None`` if there are none.

    Args:
        severity: of the fault.
        faulty: ``(N,)`` booleans.
        what: goes on after "3 of 40".
        name: names a row.
        remedy: what to do, as a sentence without its period.
    """
    total = len(np.atleast_1d(faulty))
    rows = np.flatnonzero(faulty)
    if not len(rows):
        return None
    return Finding(
        severity=severity,
        what=f"{len(rows)} of {total} {what}",
        items=tuple(name(int(row)) for row in rows[:NUM_SHOWN]),
        count=len(rows),
        remedy=remedy,
        rows=rows,
        is_whole=len(rows) == total,
    )


def of_items(severity: Severity, items: Iterable[Any], what: str, *, remedy: str) -> Finding | None:
    """Return a finding of items that cannot be left out, ``None`` if there are none."""
    names = [str(item) for item in items]
    if not names:
        return None
    return Finding(
        severity=severity,
        what=f"{len(names)} {what}",
        items=tuple(name[:200] for name in names[:NUM_SHOWN]),
        count=len(names),
        remedy=remedy,
    )


class Settled(NamedTuple):
    """A finding and the file or folder that it is about."""

    source: str
    finding: Finding


@contextmanager
def recorded() -> Iterator[list[Settled]]:
    """Collect what is settled meanwhile, also if it ends in an exception; nothing is logged."""
    record: list[Settled] = []
    _records.append(record)
    try:
        yield record
    finally:
        _records.pop()


def settle(
    findings: Iterable[Finding | None],
    *,
    source: object,
    on_error: OnError = "raise",
    error: type[Exception] = ValueError,
) -> NDArray[np.int64]:
    """Raise all errors together, the warnings after them; or log what does not end the run.

    Args:
        findings: of checks; all rows are counted in the same dataset.
        source: the file or folder that they are about.
        on_error: ``skip`` logs errors whose rows can be left out.
        error: type of the exception.

    Returns:
        The rows to leave out, sorted.

    Raises:
        ValueError: or ``error``; its message has every finding.
    """
    found = [f for f in findings if f is not None]
    for record in _records:
        record += [Settled(str(source), finding) for finding in found]
    errors = [f for f in found if f.severity == "error"]
    warnings = [f for f in found if f.severity == "warning"]
    if on_error == "raise":
        fatal, skipped = errors, []
    else:
        fatal = [f for f in errors if not f.can_skip]
        skipped = [f for f in errors if f.can_skip]
    if fatal:
        hint = _SKIP if all(f.can_skip for f in errors) else ""
        raise error(_together(source, [*fatal, *skipped, *warnings], hint))
    for finding in skipped:
        _log_once(f"{source}: {finding}; left out")
    for finding in warnings:
        _log_once(f"{source}: {finding}")
    rows = [f.rows for f in skipped if f.rows is not None]
    return np.unique(np.concatenate(rows)) if rows else np.empty(0, np.int64)


def is_logged(finding: Finding) -> bool:
    """Return whether this process has logged the same fault, of whatever number of items."""
    return any(finding.kind in message for message in map(_kind, _logged))


def first(items: Iterable[str], count: int = NUM_SHOWN) -> str:
    """Return the first names of many, for a message."""
    names = list(items)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _together(source: object, findings: Sequence[Finding], hint: str) -> str:
    if len(findings) == 1:
        text = f"{source}: {findings[0]}"
    else:
        lines = [f"{source}: {len(findings)} faults"]
        lines += [f"  {f.severity}: {f}" for f in findings]
        text = "\n".join(lines)
    return f"{text}. {hint}" if hint else text


def _kind(text: str) -> str:
    return " ".join(_NUMBERS.sub(" ", text).split()).removeprefix("of ")


def _log_once(message: str) -> None:
    if not _records and message not in _logged:
        _logged.add(message)
        log.warning("%s", message)
