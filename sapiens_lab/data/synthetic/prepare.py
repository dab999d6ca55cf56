"""Render many scenes into a cache, in several processes, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
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

from sapiens_lab.data.synthetic.cache import SceneCache

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
    if processes <= 1:
        for index in todo:
            cache.make(index)
            yield
        return
    context = multiprocessing.get_context("spawn")  # forking would copy a parent's threads
    with (
        _single_threaded(),
        ProcessPoolExecutor(
            processes, mp_context=context, initializer=_start, initargs=(cache,)
        ) as pool,
    ):
        for _ in pool.map(_make, todo, chunksize=8):
            yield


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
