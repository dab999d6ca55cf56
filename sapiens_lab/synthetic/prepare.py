"""Render many scenes into a cache, in several processes, with a progress bar."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import cv2
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sapiens_lab.synthetic.cache import SceneCache

log = logging.getLogger(__name__)

_CHUNK = 4  # scenes handed to a process at a time
_WORTH_A_PROCESS = 100  # scenes; fewer are rendered sooner than another process has started
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def fill(cache: SceneCache, count: int, *, num_workers: int, title: str) -> int:
    """Render those of the first ``count`` scenes that are missing.

    Args:
        cache: where they go.
        count: how many there shall be.
        num_workers: processes at most.
        title: shown beside the progress bar.

    Returns:
        How many were rendered.
    """
    todo = cache.missing(count)
    cache.make_room(len(todo))
    if not todo:
        return 0
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns) as progress:
        task = progress.add_task(title, total=len(todo))
        for _ in _render(cache, todo, min(num_workers, len(todo) // _WORTH_A_PROCESS)):
            progress.advance(task)
    return len(todo)


def _render(cache: SceneCache, todo: list[int], processes: int) -> Iterator[None]:
    """Render scenes, and yield after each."""
    if processes > 1:
        try:
            yield from _render_in_parallel(cache, todo, processes)
            return
        except BrokenProcessPool:
            # E.g. a script without `if __name__ == "__main__"`, or too little memory.
            log.warning("the rendering processes ended early; rendering goes on in this one")
            todo = [index for index in todo if not cache.path(index).exists()]
    for index in todo:
        cache.make(index)
        yield


def _render_in_parallel(cache: SceneCache, todo: list[int], processes: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")  # forking would copy a parent's threads
    with _single_threaded():
        pool = ProcessPoolExecutor(
            processes, mp_context=context, initializer=_start, initargs=(cache,)
        )
        try:
            for _ in pool.map(_make, todo, chunksize=_CHUNK):
                yield
        finally:  # after Ctrl-C nobody waits for the rest
            pool.shutdown(wait=True, cancel_futures=True)


_cache: SceneCache  # of a rendering process


def _start(cache: SceneCache) -> None:
    global _cache
    _cache = cache
    cv2.setNumThreads(1)


def _make(index: int) -> None:
    _cache.make(index)


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
