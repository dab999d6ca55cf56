"""``metrics.csv`` of a run: one row per logging step, continued when the run is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from sapiens_lab import atomic


class CsvLogger(Logger):
    """Append metrics to a CSV file.

    Lightning's own CSV logger deletes an earlier file of the same folder, which would take a
    resumed run's first half away.

    Args:
        path: of the file; an earlier one is continued.
    """

    def __init__(self, *, path: str) -> None:
        super().__init__()
        self.path = Path(path)
        self._columns: list[str] = []
        self._rows: list[dict[str, Any]] = []

    @property
    def name(self) -> str | None:
        """No name: a run is its folder."""
        return None

    @property
    def version(self) -> str | None:
        """No version: a run is its folder."""
        return None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep a row until the next ``save``."""
        self._rows.append({"step": step, **metrics})

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: ``config.yaml`` has them."""

    @rank_zero_only
    def save(self) -> None:
        """Write the rows; a new column rewrites the file.

        Raises:
            WriteError: there is no room or no permission; the file is as it was.
        """
        if not self._rows:
            return
        known = self._columns or list(next(iter(self._read()), {}))
        columns = list(dict.fromkeys([*known, *(key for row in self._rows for key in row)]))
        if columns == known and self.path.is_file():
            atomic.append(self.path, _lines(columns, self._rows))
        else:
            rows = [*self._read(), *self._rows]
            header = dict(zip(columns, columns, strict=True))
            atomic.write_bytes(self.path, _lines(columns, [header, *rows]))
        self._columns, self._rows = columns, []

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.save()

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        text = self.path.read_text()
        if not text.endswith("\n"):  # a power cut may leave a part of the last row
            text = text[: text.rfind("\n") + 1]
            atomic.write_text(self.path, text)
        return list(csv.DictReader(io.StringIO(text)))


def _lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
