"""Call a function with many indices in several processes, and end cleanly after Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager

import cv2

from sapiens_lab.signals import end_with_parent, stand_apart, start_resource_tracker

_AHEAD = 2  # indices handed to a process before it asks for them
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def for_each(work: Callable[[int], None], todo: Sequence[int], num_workers: int) -> Iterator[None]:
    """Call ``work`` with each index, and yield after each.

    After Ctrl-C the calls in progress are finished first.

    Args:
        work: is pickled for the processes, once each.
        todo: the indices.
        num_workers: processes; with fewer than two the work is done in this one.

    Raises:
        BrokenProcessPool: a process ended early, e.g. for lack of memory.
    """
    if num_workers <= 1:
        for index in todo:
            work(index)
            yield
        return
    context = multiprocessing.get_context("spawn")  # forking would copy a parent's threads
    start_resource_tracker()
    with _single_threaded():
        pool = ProcessPoolExecutor(
            num_workers, mp_context=context, initializer=_start, initargs=(work,)
        )
        try:
            yield from _drain(pool, todo, _AHEAD * num_workers)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _drain(pool: ProcessPoolExecutor, todo: Sequence[int], ahead: int) -> Iterator[None]:
    """Keep ``ahead`` indices handed out: a million at once would take a gigabyte of memory."""
    running: set[Future[None]] = set()
    for index in todo:
        running.add(pool.submit(_work_on, index))
        if len(running) >= ahead:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    for future in running:
        yield future.result()


_work: Callable[[int], None]  # of a worker process


def _start(work: Callable[[int], None]) -> None:
    global _work
    _work = work
    cv2.setNumThreads(1)
    stand_apart()
    end_with_parent()


def _work_on(index: int) -> None:
    _work(index)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Let child processes that start here use one thread each: there is one for every core."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
