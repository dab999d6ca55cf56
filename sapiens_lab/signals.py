"""What Ctrl-C, SIGTERM and SIGHUP do: end a program at once, or where nothing is lost.

Each raises ``Stopped``, so that files are closed, half-written ones removed and child processes
ended. A training run asks for a delay: it stops between two steps and saves its state first.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_GRACE_S = 5.0  # how long a child process may take to end


class Stopped(KeyboardInterrupt):
    """The program was asked to end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_status(self) -> int:
        """Status of a program that the signal ended, as shells have it: 130, 143, 129."""
        return 128 + self.number


class _State:
    """What the handlers know; signals belong to the process, so there is one."""

    is_delayed = False
    requested: int | None = None


@contextmanager
def handled() -> Iterator[None]:
    """Let signals raise ``Stopped`` in the main thread; end child processes on the way out."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    _State.is_delayed, _State.requested = False, None
    install()
    try:
        yield
    except Stopped:
        end_children()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _State.is_delayed, _State.requested = False, None


def install() -> None:
    """Set the handlers, again where a library has set its own; ignored signals stay ignored."""
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)  # SIGHUP is ignored below nohup


def delay(is_delayed: bool) -> None:
    """Note signals instead of raising, or raise again; a second signal raises in any case."""
    _State.is_delayed = is_delayed


def requested() -> int | None:
    """Return the signal that has asked the program to end, if one has."""
    return _State.requested


def stop_if_requested() -> None:
    """Raise ``Stopped`` where a signal was noted."""
    if _State.requested is not None:
        raise Stopped(_State.requested)


def stand_apart() -> None:
    """Keep the signals of a terminal or a scheduler from a child process: its parent decides.

    They are sent to whole process groups. Call it in the child.
    """
    os.setpgid(0, 0)


def start_resource_tracker() -> None:
    """Start the helper of ``multiprocessing``, so that a closed terminal does not end it.

    It ignores Ctrl-C and SIGTERM by itself. Call it before a pool is made.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what it inherits
    try:
        resource_tracker.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)


def end_with_parent() -> None:
    """End this child process when its parent does, even by SIGKILL. Call it in the child."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait, args=(parent,), daemon=True).start()


def end_children() -> None:
    """End the child processes that ``multiprocessing`` has started."""
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    for child in children:
        child.join(_GRACE_S)
        if child.is_alive():
            child.kill()
            child.join(_GRACE_S)


def _handle(number: int, frame: FrameType | None) -> None:
    first = _State.requested is None
    _State.requested = number
    if _State.is_delayed and first:
        return
    if _is_importing(frame):  # half an import of a compiled module can crash on the way out
        os.write(1, b"stopped\n")
        end_children()
        os._exit(Stopped(number).exit_status)
    raise Stopped(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _wait(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
