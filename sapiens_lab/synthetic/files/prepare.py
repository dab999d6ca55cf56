"""Render many scenes into a cache, in several processes, with a progress bar."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sapiens_lab.synthetic.files.cache import SceneCache
from sapiens_lab.synthetic.files.parallel import for_each

log = logging.getLogger(__name__)

_WORTH_A_PROCESS = 100  # scenes; fewer are rendered sooner than another process has started


def fill(cache: SceneCache, count: int, *, num_workers: int, title: str) -> int:
    """Render those of the first ``count`` scenes that are missing.

    Args:
        cache: where they go.
        count: how many scenes the cache should hold.
        num_workers: processes at most.
        title: shown beside the progress bar.

    Returns:
        How many were rendered.
    """
    todo = cache.missing(count)
    cache.make_room(len(todo))
    if not todo:
        return 0
    with progress_bar() as progress:
        task = progress.add_task(title, total=len(todo))
        for _ in _render(cache, todo, min(num_workers, len(todo) // _WORTH_A_PROCESS)):
            progress.advance(task)
    return len(todo)


def progress_bar(console: Console | None = None) -> Progress:
    """Return a bar with how many are done, the time so far and the time left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), console=console,
    )  # fmt: skip


def _render(cache: SceneCache, todo: list[int], num_workers: int) -> Iterator[None]:
    """Render scenes, and yield after each."""
    try:
        yield from for_each(cache.make, todo, num_workers)
    except BrokenProcessPool:
        # E.g. a script without `if __name__ == "__main__"`, or too little memory.
        log.warning("the rendering processes ended early; rendering goes on in this one")
        missing = [index for index in todo if not cache.path(index).exists()]
        yield from for_each(cache.make, missing, 1)
