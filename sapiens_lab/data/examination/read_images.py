"""Read images of a dataset, small, until the time is over."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.checks import fingerprints
from sapiens_lab.data.checks.glances import Glances, source_of
from sapiens_lab.data.headers import size_in_header
from sapiens_lab.data.images import REDUCTIONS, decode, is_jpeg, read_content

_SMALL = 64  # pixels that the shorter side of a reduced image has at least
_THUMBNAIL = 16
_LARGE = 1 << 25  # bytes of a file that is not decoded


@dataclass(slots=True)
class GlanceList:
    """Collects what is noted of images."""

    names: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    tones: list[tuple[float, float]] = field(default_factory=list)  # brightness, saturation
    checksums: list[int] = field(default_factory=list)
    signs: list[NDArray[np.int8]] = field(default_factory=list)
    thumbnails: list[NDArray[np.uint8]] = field(default_factory=list)

    def add(
        self, name: str, pixels: NDArray[np.uint8], size: tuple[int, int], content: bytes
    ) -> None:
        """Note an image ``(h, w, 3)``, which may be smaller than its file's ``size``."""
        small = cv2.resize(pixels, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)
        gray = small.mean(-1).astype(np.float32)
        side = fingerprints.SIDE
        tiny = cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA)
        thumbnail = cv2.resize(gray, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
        self.names.append(name)
        self.sizes.append(size)
        self.tones.append((float(gray.mean()), float(np.ptp(small, axis=-1).mean())))
        digest = hashlib.blake2b(content, digest_size=8).digest()
        self.checksums.append(int.from_bytes(digest, "little"))
        self.signs.append(fingerprints.signs_of(tiny))
        self.thumbnails.append(thumbnail.round().astype(np.uint8))

    def done(self) -> Glances:
        """Return all of them as arrays."""
        count = len(self.names)
        tones = np.array(self.tones, np.float32).reshape(count, 2)
        return Glances(
            names=self.names,
            sources=[source_of(name) for name in self.names],
            sizes=np.array(self.sizes, np.int64).reshape(count, 2),
            brightness=tones[:, 0],
            saturation=tones[:, 1],
            checksums=np.array(self.checksums, np.uint64),
            signs=np.array(self.signs, np.int8).reshape(count, fingerprints.NUM_SIGNS),
            thumbnails=np.array(self.thumbnails, np.uint8).reshape(count, _THUMBNAIL, _THUMBNAIL),
        )


def read_images(
    paths: Sequence[Path], order: Sequence[int], *, until: float, step: Callable[[], None]
) -> tuple[Glances, dict[int, str]]:
    """Read images in an order, and at least one, until ``time.monotonic()`` is ``until``.

    Args:
        paths: of all images.
        order: indices of those to read.
        until: when to stop.
        step: called after each.

    Returns:
        What was noted, and why others could not be read, by their index.
    """
    found, faults = GlanceList(), {}
    for index in order:
        try:
            _read(paths[index], found)
        except (ValueError, FileNotFoundError) as error:
            faults[index] = str(error)
        step()
        if time.monotonic() > until:
            break
    return found.done(), faults


def _read(path: Path, found: GlanceList) -> None:
    content = read_content(path)
    size = size_in_header(content)
    if len(content) > _LARGE:
        return
    shrink = min(size) / _SMALL if size and is_jpeg(content) else 1
    pixels = decode(content, path, reduce=next((r for r in REDUCTIONS if r <= shrink), 1))
    found.add(str(path), pixels, size or (pixels.shape[0], pixels.shape[1]), content)
