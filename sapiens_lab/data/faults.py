"""Report faulty files: raise, or log and go on, the first few by name."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Literal

log = logging.getLogger(__name__)

OnError = Literal["raise", "skip"]


def report(
    title: str,
    faults: Sequence[str],
    *,
    on_error: OnError,
    error: type[Exception] = ValueError,
) -> None:
    """Raise or log faults, the first five by name.

    Raises:
        ValueError: or ``error``, unless ``on_error`` is ``skip``.
    """
    message = "\n  ".join([f"{title}:", *faults[:5]]) + ("\n  ..." if len(faults) > 5 else "")
    if on_error == "raise":
        raise error(f"{message}\ndata.on_error=skip goes on without them")
    log.warning("%s; left out", message)


def first(items: Iterable[str], count: int = 5) -> str:
    """Return the first names of many, for a message."""
    names = list(items)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
