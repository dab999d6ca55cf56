"""Read CSV files, of which Python's reader raises an error of its own."""

from __future__ import annotations

import csv
from pathlib import Path

from sapiens_lab.limits import MAX_JSON_BYTES, read_file


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file.

    Raises:
        ValueError: it is larger than the limit.
    """
    return read_file(path, MAX_JSON_BYTES).decode("utf-8-sig", "replace").splitlines()


def read_csv(lines: list[str], path: Path) -> list[list[str]]:
    """Return the rows of CSV.

    Raises:
        ValueError: it is malformed; names ``path``.
    """
    try:
        return list(csv.reader(lines))
    except csv.Error as error:
        raise ValueError(f"{path} is not valid CSV: {error}") from error
