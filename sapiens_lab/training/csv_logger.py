"""``metrics.csv`` of a run: one row per logging step, continued when the run is."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


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
        """Write the rows; a new column rewrites the file, through a copy that replaces it."""
        if not self._rows:
            return
        known = self._columns or list(next(iter(self._read()), {}))
        columns = list(dict.fromkeys([*known, *(key for row in self._rows for key in row)]))
        if columns == known and self.path.is_file():
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, columns).writerows(self._rows)
        else:
            self._rewrite(columns, [*self._read(), *self._rows])
        self._columns, self._rows = columns, []

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.save()

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def _rewrite(self, columns: list[str], rows: list[dict[str, Any]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(self.path)
