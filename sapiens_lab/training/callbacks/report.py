"""The metrics of a run: a table at its end, and ``metrics.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from sapiens_lab.atomic import write_text
from sapiens_lab.training.callbacks.best_checkpoint import BestCheckpoint
from sapiens_lab.training.learner import Learner

Row = dict[str, float]


class Report(Callback):
    """At the end, print the headline metrics as a table and write all of them to a file.

    Args:
        path: of the JSON file.
        names: the headline metrics, ``val/...``; the same are printed for a test.
        full: print every metric, and why others are undefined.
    """

    def __init__(self, *, path: str, names: Sequence[str], full: bool = False) -> None:
        self.path, self.names, self.full = Path(path), tuple(names), full
        self._history: list[Row] = []
        self._console = Console(highlight=False)

    def state_dict(self) -> dict[str, Any]:
        """Keep the metrics of earlier epochs for a continued run."""
        return {"history": self._history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self._history = state_dict["history"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the metrics of this epoch."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            row = _metrics(trainer, "val/") | {"epoch": trainer.current_epoch + 1}
            self._history.append(row)

    @rank_zero_only
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the last and the best epoch."""
        assert isinstance(pl_module, Learner)
        if not self._history:
            return
        best = next(
            (c for c in trainer.checkpoint_callbacks if isinstance(c, BestCheckpoint)), None
        )
        columns = {"last": self._history[-1]}
        if best is not None and (row := best_row(self._history, str(best.monitor), best.mode)):
            columns["best"] = row
        monitored = [] if best is None else [str(best.monitor)]
        self._print(columns, pl_module.undefined, [*self.names, *monitored])
        self._dump({**columns, "undefined": pl_module.undefined})
        if best is not None and best.best_model_path:
            self._say(f"best checkpoint: {_relative(best.best_model_path)}{_chosen_by(best)}")
        self._say(f"everything else: {_relative(self.path.parent)}")

    @rank_zero_only
    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the metrics of the test."""
        assert isinstance(pl_module, Learner)
        metrics = _metrics(trainer, "test/")
        headline = [name.replace("val/", "test/", 1) for name in self.names]
        self._print({"test": metrics}, pl_module.undefined, headline)
        self._dump({"test": metrics, "undefined": pl_module.undefined})
        self._say(f"written to {_relative(self.path)}")

    def _print(
        self, columns: dict[str, Row], undefined: dict[str, str], headline: Sequence[str]
    ) -> None:
        table = Table(title_justify="left")
        table.add_column("metric")
        for name, row in columns.items():
            epoch = f" (epoch {row['epoch']:.0f})" if "epoch" in row else ""
            table.add_column(name + epoch, justify="right")
        every = dict.fromkeys(name for row in columns.values() for name in row if name != "epoch")
        order = dict.fromkeys([*headline, *(every if self.full else ())])
        names = [name for name in order if name in every] or list(every)
        for name in names:
            cells = [f"{row[name]:.4g}" if name in row else "" for row in columns.values()]
            table.add_row(name, *cells)
        self._console.print(table)
        if self.full:
            for name, reason in undefined.items():
                self._say(f"[dim]{name} is undefined: {reason}[/]")
        elif undefined:
            self._say(f"[dim]undefined, with the reasons in metrics.json: {_few(undefined)}[/]")
        if hidden := len(every) - len(names):
            self._say(f"[dim]{hidden} more metrics in metrics.json (callbacks.report.full=true)[/]")
        self._say("[dim]what the metrics mean: docs/metrics.md[/]")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def _dump(self, content: dict[str, Any]) -> None:
        write_text(self.path, json.dumps(content, indent=2) + "\n")


def best_row(history: Sequence[Row], monitor: str, mode: str) -> Row | None:
    """Return the best epoch's metrics; of equal ones the later, as ``BestCheckpoint`` saves it."""
    scored = [row for row in reversed(history) if monitor in row]
    if not scored:
        return None
    pick = max if mode == "max" else min
    return pick(scored, key=lambda row: row[monitor])


def _chosen_by(best: BestCheckpoint) -> str:
    asked = best.fell_back_from
    if asked is None:
        return ""
    return f" (chosen by {best.monitor}: {asked} was 0 or undefined in every validation)"


def _few(names: Sequence[str] | dict[str, str]) -> str:
    first = list(names)[:6]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")


def _metrics(trainer: L.Trainer, prefix: str) -> Row:
    return {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if name.startswith(prefix) and bool(torch.isfinite(torch.as_tensor(value)))
    }


def _relative(path: str | Path) -> str:
    """Shorten a path below the working directory: people paste it into the next command."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
