"""What a terminal shows while a bar is on it."""

from __future__ import annotations

import logging
import re
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from sapiens_lab.commands.console import StdoutHandler


def test_messages_go_above_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """A handler that keeps its stream would write into the line of the bar."""
    handler, logger = StdoutHandler(), logging.getLogger("above")
    logger.addHandler(handler)
    try:
        with Progress(console=Console(force_terminal=True, width=60)) as progress:
            task = progress.add_task("bar", total=2)
            for text in ("one", "two"):
                logger.warning(text)
                progress.advance(task)
                progress.refresh()
        logger.warning("three")
    finally:
        logger.removeHandler(handler)
    shown = capsys.readouterr().out
    lines = [re.sub(r"\x1b\[[\d;?]*[a-zA-Z]|\r", "", line) for line in shown.splitlines()]
    assert [line for line in lines if line in ("one", "two", "three")] == ["one", "two", "three"]
    assert handler.stream is sys.stdout
