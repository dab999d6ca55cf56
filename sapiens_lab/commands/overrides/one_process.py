"""Measure in one process what was trained in several."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sapiens_lab.training import runs

_PROCESSES = ("trainer.devices", "trainer.num_nodes", "trainer.strategy")


def in_one_process(recorded: Sequence[str], typed: Sequence[str]) -> list[str]:
    """Leave out what lets a run train in several processes, unless the user asks for it again."""
    if any(runs.override_key(word).split(".")[0] == "trainer" for word in typed):
        return list(recorded)
    kept = [
        word for word in recorded
        if runs.override_key(word) not in _PROCESSES and word != "trainer=ddp"
    ]  # fmt: skip
    if len(kept) != len(recorded):
        click.echo("measured in one process; trainer=ddp trainer.devices=N takes several")
    return kept
