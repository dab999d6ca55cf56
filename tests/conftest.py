"""Fixtures shared by all tests."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Commands, Run

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the full recordings and of real images; what needs it is skipped without it.

    Smaller recordings lie in ``tests/parity/recordings``, so that every parity test runs anywhere.
    """
    path = Path(os.environ.get("SAPIENS_SHARED", ROOT.parent / "shared"))
    if not (path / "goldens").is_dir():
        pytest.skip(f"the full recordings and real images are not at {path} (set SAPIENS_SHARED)")
    return path


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered people go to a folder of the test session, never to the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["SAPIENS_LAB_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def heard_signals() -> None:
    """Background jobs and ``nohup`` ignore signals that tests send to their own process."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command sets up logging for its process; the next test must not inherit that."""
    _reset_logging()  # a fixture of the session may have run a command before
    yield
    _reset_logging()


def _reset_logging() -> None:
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    for handler in list(root.handlers):
        if not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
            handler.close()


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The command line, in an empty working directory."""
    return Commands(monkeypatch, tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Run:
    """A run of the smallest world: two epochs, kept by PCK, as AP stays 0 so early."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.redirect_stdout(printed):
        commands = Commands(monkeypatch, tmp_path_factory.mktemp("trained"))
        commands.train("monitor=val/PCK@0.1")
        [folder] = commands.runs()
    return Run(folder, printed.getvalue())
