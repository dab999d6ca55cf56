"""How every command ends when something is wrong: one message, one exit status."""

from __future__ import annotations

import os
import re
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from sapiens_lab import signals
from sapiens_lab.atomic import FULL, write_text

# What a user or a disk causes: the message says what to do, so a trace would only hide it.
USER_ERRORS = (ValueError, OSError, ImportError, FloatingPointError)


@contextmanager
def reported(
    *,
    interrupted: str | Callable[[], str] = "stopped",
    run_folder: Callable[[], Path | None] | None = None,
) -> Iterator[None]:
    """Turn an exception into a message and an exit status; serves as a decorator as well.

    A user's mistake becomes its message alone. Any other exception is a fault of the program and
    keeps its trace. The trace of either goes to ``error.txt`` in the run's folder; with
    ``HYDRA_FULL_ERROR=1`` or ``SAPIENS_TRACE=1`` it is printed.

    Args:
        interrupted: what to print after Ctrl-C, SIGTERM or SIGHUP, or what tells it.
        run_folder: tells the folder of the run, once there is one.

    Raises:
        SystemExit: with status 1 after a user's mistake; 130 after Ctrl-C, 143 after SIGTERM and
            129 after SIGHUP, as shells have it.
    """
    try:
        with signals.handled(), _quiet_threads():
            yield
    except KeyboardInterrupt as stopped:
        said = interrupted if isinstance(interrupted, str) else interrupted()
        with suppress(OSError):  # the terminal may be gone
            click.echo(said, nl=bool(said))
        stopped = stopped if isinstance(stopped, signals.Stopped) else signals.Stopped()
        raise SystemExit(stopped.exit_status) from None
    except BrokenPipeError:
        raise  # the reader of a pipe went away, which click answers
    except Exception as error:
        folder = run_folder() if run_folder else None
        if folder is not None:
            _write_trace(folder, error)
        message = explain(error)
        if message is None or _traced():
            raise
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(message, err=True)
        if _is_of_installation(error) and "pip install" not in message:
            click.echo("`sapiens doctor` says what is wrong with this installation", err=True)
        if folder is not None and (folder / "error.txt").is_file():
            click.echo(f"full trace: {folder / 'error.txt'}", err=True)
        raise SystemExit(1) from None


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Keep threads of libraries from printing a trace each where the disk is full."""
    before = threading.excepthook

    def report(args: threading.ExceptHookArgs) -> None:
        if not (isinstance(args.exc_value, OSError) and args.exc_value.errno in FULL):
            before(args)

    threading.excepthook = report
    try:
        yield
    finally:
        threading.excepthook = before


def explain(error: BaseException) -> str | None:
    """Return the sentence for the user, or ``None`` where the program is at fault.

    Hydra and OmegaConf wrap what a constructor or a resolver raises; the user's mistake is inside.
    """
    chain = [error]
    while _is_from_config(chain[-1]) and (inner := chain[-1].__cause__ or chain[-1].__context__):
        chain.append(inner)
    for cause in reversed(chain):
        if not _is_from_config(cause) and (_is_users(cause) or _is_refused_call(cause)):
            return _with_key(_sentence(cause), str(chain[0]))
    return _config_sentence(chain[-1]) if _is_from_config(chain[-1]) else None


def _is_users(error: BaseException) -> bool:
    """Recognize a user's mistake, by name where a library has its own class for it."""
    is_known = isinstance(error, USER_ERRORS) or _is_mismatch(error)
    return is_known or type(error).__name__ == "MisconfigurationException"


def _is_of_installation(error: BaseException) -> bool:
    """Recognize a package that is missing, broken or of another torch."""
    while _is_from_config(error) and (inner := error.__cause__ or error.__context__):
        error = inner
    return isinstance(error, ImportError) or _is_mismatch(error)


def _is_mismatch(error: BaseException) -> bool:
    """Recognize a torchvision that was built for another torch."""
    return isinstance(error, RuntimeError) and "torchvision::" in str(error)


def _is_refused_call(error: BaseException) -> bool:
    """Recognize arguments that Hydra passed and that a constructor does not take."""
    frames = traceback.extract_tb(error.__traceback__)
    return (
        isinstance(error, TypeError) and bool(frames) and "hydra" in Path(frames[-1].filename).parts
    )


def _with_key(sentence: str, message: str) -> str:
    """Name the node that could not be built, where the sentence does not."""
    match = re.search(r"^full_key: (?:learner\.)?([\w.]+)$", message, re.MULTILINE)
    if match is None or f"{match[1]}." in sentence:
        return sentence
    return f"{match[1]}: {sentence}"


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def _config_sentence(error: BaseException) -> str:
    """Shorten what OmegaConf says to its first line, with the key that it is about."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    missing = first.removeprefix("Missing mandatory value: ")
    if missing != first:
        return f"{missing} has no value: add `{missing}=...`"
    key = getattr(error, "full_key", None)
    return f"{key}: {first}" if key and key not in first else first


def _is_from_config(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("hydra", "omegaconf")


def _write_trace(folder: Path, error: BaseException) -> None:
    with suppress(OSError):  # a full disk may be what the error is about
        write_text(folder / "error.txt", "".join(traceback.format_exception(error)))


def _traced() -> bool:
    return "1" in (os.environ.get("HYDRA_FULL_ERROR"), os.environ.get("SAPIENS_TRACE"))
