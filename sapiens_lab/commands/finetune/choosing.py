"""Decide what ``experiment=finetune/...`` leaves open, before Hydra composes the run.

The decisions are overrides: they are printed with their reasons, recorded with the run, and give
way to what the user typed. A run is therefore repeated, continued and evaluated without a look.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from sapiens_lab.commands.finetune.decided import remember
from sapiens_lab.commands.finetune.folder import look
from sapiens_lab.commands.finetune.length import choose_recipe, plan
from sapiens_lab.commands.finetune.request import Compose, Decision, Request
from sapiens_lab.commands.finetune.samples import count
from sapiens_lab.commands.finetune.start import choose_start
from sapiens_lab.commands.finetune.typed import check_typed
from sapiens_lab.data.checks.finding import recorded

_INDENT = 13


def complete(typed: Sequence[str], compose: Compose) -> list[str]:
    """Return the overrides with what is decided before them.

    Args:
        typed: the user's overrides.
        compose: composes a config of overrides.

    Raises:
        FileNotFoundError, ValueError: the folder holds no data of the task, or faulty ones.
    """
    request = Request.of(typed, compose)
    if request.choices.get("recipe") is None:
        return list(typed)
    check_typed(request)
    with _silent(), recorded():
        found = look(request)
        request = request.with_decisions(found)
        samples = count(request)
        start = choose_start(request)
        request = request.with_decisions(start)
        recipe = choose_recipe(request, samples)
        request = request.with_decisions(recipe)
        planned = plan(request, samples)
        request = request.with_decisions(planned)
    for line in lines([*found, samples.decision(), *start, *recipe, *planned]):
        click.echo(line)
    remember(request.decided)
    return [*request.decided, *typed]


def lines(decisions: Sequence[Decision]) -> list[str]:
    """Return what is printed: a line a decision."""
    return [f"{d.title:<{_INDENT}}{d.text}" for d in decisions if d.text]


@contextmanager
def _silent() -> Iterator[None]:
    """Keep back what readers log: they will say it again when the run reads the data."""
    logger = logging.getLogger("sapiens_lab")
    before, logger.disabled = logger.disabled, True
    level, logger.level = logger.level, logging.CRITICAL
    try:
        yield
    finally:
        logger.disabled, logger.level = before, level
