"""``extend=N``: a finished run goes on for N epochs, its schedule planned over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sapiens_lab.commands.overrides import quoting
from sapiens_lab.training import runs

_OTHER_WAYS = ("trainer.max_epochs", "weights", "scheduler")


def requested(typed: Sequence[str]) -> int | None:
    """Return the number of ``extend=N``; what is no number is refused with the other overrides.

    Raises:
        ValueError: another key says how long to train, or with which weights to begin.
    """
    values = [quoting.text_of(word) for word in typed if runs.override_key(word) == "extend"]
    if not values or not values[-1].isdecimal() or int(values[-1]) == 0:
        return None
    for word in typed:
        if runs.override_key(word) in _OTHER_WAYS:
            raise ValueError(
                f"extend={values[-1]} goes on with a finished run for so many epochs; {word} says "
                "something else. Give one of the two"
            )
    return int(values[-1])


def extended(recorded: Sequence[str], checkpoint: Path, num_epochs: int) -> list[str]:
    """Return the overrides of a finished run, for so many epochs more.

    What ended the run before, a number of steps, a time or early stopping, ends it no more.

    Raises:
        ValueError: the run is not finished.
    """
    total = runs.finished_epochs(checkpoint) + num_epochs
    plan = [
        f"trainer.max_epochs={total}",
        "trainer.max_steps=-1",
        "trainer.max_time=null",
        "early_stopping=null",
    ]
    return runs.merge_overrides(recorded, plan)


def nothing_to_extend(num_epochs: int) -> ValueError:
    """Return what is said where there is no run."""
    return ValueError(
        f"extend={num_epochs}: there is no run of this experiment to extend. Train one first, or "
        "name one with resume=<run>/checkpoints/last.ckpt"
    )
