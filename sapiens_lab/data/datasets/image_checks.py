"""Look into images all over a dataset before a run starts."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sapiens_lab.data.checks import images as checks
from sapiens_lab.data.checks.finding import Finding, OnError, of_rows, settle
from sapiens_lab.data.checks.images import ImageFacts
from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.images import REDUCTIONS, decode, has_gaps, is_jpeg, read_content, size_of

_LARGE = 1 << 23  # bytes of a file that is not decoded for a look


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAt:
    """Images that were looked into: facts, or why one cannot be read."""

    facts: Sequence[ImageFacts | None]
    messages: Sequence[str]  # empty where there are facts

    def faults(
        self, stated: Sequence[tuple[float, float] | None] | None = None
    ) -> list[Finding | None]:
        """Return what is wrong with those that can be read."""
        sizes = [None] * len(self.facts) if stated is None else stated
        pairs = [(f, s) for f, s in zip(self.facts, sizes, strict=True) if f is not None]
        facts = [f for f, _ in pairs]
        return [
            checks.check_broken(facts),
            checks.check_stated_sizes(facts, [s for _, s in pairs]),
            checks.check_small(facts),
            checks.check_animated(facts),
        ]


def look_at_images(paths: Sequence[Path]) -> LookedAt:
    """Read headers and contents of images."""
    return _look([partial(look_at, path) for path in paths])


def _look(reads: Sequence[Callable[[], ImageFacts]]) -> LookedAt:
    facts: list[ImageFacts | None] = []
    messages = []
    for read in reads:
        try:
            facts.append(read())
            messages.append("")
        except (ValueError, FileNotFoundError) as error:
            facts.append(None)
            messages.append(str(error))
    return LookedAt(facts=facts, messages=messages)


def check_images(
    paths: Sequence[Path],
    *,
    stated: Sequence[tuple[float, float] | None] | None = None,
    source: object,
    on_error: OnError,
) -> LookedAt:
    """Check headers and contents of images all over a dataset.

    Args:
        paths: of all images.
        stated: (height, width) of each as annotations have them.
        source: the file or folder for messages.
        on_error: ``skip`` logs images that cannot be read.

    Returns:
        What was seen of those that ``spread`` chooses.

    Raises:
        ValueError: some cannot be read or have another size than is stated; names them.
    """
    indices = spread(len(paths))
    looked = look_at_images([paths[i] for i in indices])
    sizes = [stated[i] for i in indices] if stated else None
    _report(looked, sizes, source=source, on_error=on_error)
    return looked


def check_entries(reads: Sequence[Callable[[], tuple[str, bytes]]], *, source: object) -> None:
    """Check images that are not files of their own, and log those that cannot be read.

    Args:
        reads: each gives name and content of an image.
        source: the folder for messages.

    Raises:
        ValueError: none can be read; names them.
    """

    def facts(read: Callable[[], tuple[str, bytes]]) -> ImageFacts:
        name, content = read()
        return _facts(content, Path(name))

    _report(_look([partial(facts, read) for read in reads]), None, source=source, on_error="skip")


def _report(
    looked: LookedAt,
    stated: Sequence[tuple[float, float] | None] | None,
    *,
    source: object,
    on_error: OnError,
) -> None:
    unreadable = of_rows(
        "error",
        [bool(message) for message in looked.messages],
        "images that were looked into cannot be read",
        name=lambda i: looked.messages[i],
        remedy="",
    )
    settle([unreadable, *looked.faults(stated)], source=source, on_error=on_error)


def look_at(path: Path) -> ImageFacts:
    """Return what an image's file says about itself.

    Raises:
        FileNotFoundError, ValueError: it cannot be read; names it.
    """
    return _facts(read_content(path), path)


def _facts(content: bytes, path: Path) -> ImageFacts:
    size = size_of(content, path)
    if len(content) < _LARGE and not is_jpeg(content):
        decode(content, path)
    stored, frames = _header(content)
    return ImageFacts(
        name=path.name,
        size=size,
        is_rotated=stored is not None and stored == (size[1], size[0]) != size,
        num_frames=frames,
        is_broken=is_jpeg(content) and has_gaps(content, path),
    )


def _header(content: bytes) -> tuple[tuple[int, int] | None, int]:
    """Return (height, width) as stored and the number of frames."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            is_moving = image.format in ("GIF", "WEBP", "PNG")
            frames = int(getattr(image, "n_frames", 1)) if is_moving else 1
            return (image.height, image.width), frames
    except (OSError, SyntaxError, ValueError):  # a format that only OpenCV knows
        return None, 1


def read_gray(path: Path, size: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return an image in gray, shrunk to ``size``; ``None`` where that takes long or fails."""
    try:
        content = read_content(path)
        if len(content) > _LARGE and not is_jpeg(content):
            return None
        shrink = min(n / m for n, m in zip(size_of(content, path), size, strict=True))
        pixels = decode(content, path, reduce=next((r for r in REDUCTIONS if r <= shrink), 1))
    except (ValueError, FileNotFoundError):
        return None
    height, width = size
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small.mean(-1), np.float32)
