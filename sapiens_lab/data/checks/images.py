"""Checks of images, by what their headers and a sample of their contents say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sapiens_lab.data.checks.finding import Finding, of_items

_SMALLEST = 8  # pixels of a side that show a person


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """What an image's file says about itself."""

    name: str
    size: tuple[int, int]  # (height, width) as a viewer shows it
    is_rotated: bool = False  # by EXIF: height and width are exchanged
    num_frames: int = 1
    is_broken: bool = False  # the decoder had to make up a part


def check_stated_sizes(
    facts: Sequence[ImageFacts], stated: Sequence[tuple[float, float] | None]
) -> Finding | None:
    """Compare sizes with those (height, width) that annotations state, if they do."""
    faulty = []
    rotated = 0
    for image, size in zip(facts, stated, strict=True):
        if size is None or tuple(size) == image.size:
            continue
        height, width = image.size
        faulty.append(f"{image.name} (stated {size[0]:g} x {size[1]:g}, is {height} x {width})")
        rotated += image.is_rotated and tuple(size) == (width, height)
    remedy = "Annotate the images as they are, or put the originals back"
    if rotated:
        remedy = (
            f"{rotated} are turned by their EXIF orientation: what viewers show is annotated and "
            "its size must be stated; or apply the orientation to the files"
        )
    what = f"of {len(facts)} images looked into have another height x width than the file states"
    return of_items("error", faulty, what, remedy=remedy)


def check_small(facts: Sequence[ImageFacts]) -> Finding | None:
    """Find images too small to show anything."""
    small = [f"{f.name} ({f.size[0]} x {f.size[1]})" for f in facts if min(f.size) < _SMALLEST]
    what = f"of {len(facts)} images looked into have fewer than {_SMALLEST} pixels on a side"
    return of_items("warning", small, what, remedy="Take them out if they are placeholders")


def check_animated(facts: Sequence[ImageFacts]) -> Finding | None:
    """Find animations."""
    moving = [f"{f.name} ({f.num_frames})" for f in facts if f.num_frames > 1]
    what = f"of {len(facts)} images looked into have several frames"
    return of_items("warning", moving, what, remedy="The first one is used")


def check_broken(facts: Sequence[ImageFacts]) -> Finding | None:
    """Find images that decode with parts made up."""
    broken = [f.name for f in facts if f.is_broken]
    what = f"of {len(facts)} images looked into are damaged inside; decoders fill the rest"
    return of_items("error", broken, what, remedy="Copy them again or take them out")
