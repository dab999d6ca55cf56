"""Check the names of metrics that a config asks for, before the first step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

# Terms of the loss and what callbacks log are known only once they are logged.
_LATER = ("train/", "val/loss", "val/probe_")
_MAX_LISTED = 20


def check_monitor(monitor: str, names: Sequence[str] | None) -> None:
    """Refuse a monitored metric that the task does not measure.

    Args:
        monitor: ``val/NAME``.
        names: of the task's metrics; ``None`` where they are not known.

    Raises:
        ValueError: there is no such metric; lists the nearest and all others.
    """
    _check("monitor", [monitor], names)


def check_logged(logged: Iterable[str], names: Sequence[str] | None) -> None:
    """Refuse a metric of ``log_metrics`` that the task does not measure.

    Raises:
        ValueError: there is no such metric; lists the nearest and all others.
    """
    _check("log_metrics", logged, names)


def _check(key: str, asked: Iterable[str], names: Sequence[str] | None) -> None:
    if names is None:
        return
    known = ["val/loss", *(f"val/{name}" for name in names)]
    for name in asked:
        if name in known or name.startswith(_LATER):
            continue
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else "."
        more = f" and {len(known) - _MAX_LISTED} more" if len(known) > _MAX_LISTED else ""
        raise ValueError(
            f"{key}={name}: there is no such metric{hint} This task has "
            f"{', '.join(known[:_MAX_LISTED])}{more}"
        )
