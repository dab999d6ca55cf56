"""Divide images into train and val, keeping what belongs together on one side."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from sapiens_lab.data.discovery.splits import split_of
from sapiens_lab.data.importers.annotated import AnnotatedImage

WHOLE = "all"  # the name of a set that is not divided


def given_splits(images: Sequence[AnnotatedImage]) -> dict[str, list[AnnotatedImage]]:
    """Return the images by the splits that the source gives them, or all as one set.

    A subset or folder that is called neither train nor val nor test belongs to train, if others
    are.
    """
    names = [_split_name(image) for image in images]
    if "train" not in names or "val" not in names:
        return {WHOLE: list(images)}
    found: dict[str, list[AnnotatedImage]] = {}
    for image, name in zip(images, names, strict=True):
        found.setdefault(name or "train", []).append(image)
    return found


def divide_groups(
    images: Sequence[AnnotatedImage], fraction: float, *, group_by: str | None, seed: int
) -> dict[str, list[AnnotatedImage]]:
    """Divide images by chance, whole groups at a time; the same seed divides in the same way.

    Args:
        images: all of them.
        fraction: of the images that train.
        group_by: ``folder``, ``video`` (the folder where none is stated), or a regular
            expression, whose first group, or whole match, in the image's name is the group; an
            image that it does not match is a group of its own.
        seed: another one divides differently.

    Raises:
        ValueError: ``fraction`` or ``group_by`` makes no sense, or there is one group only.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"--split {fraction:g} must lie between 0 and 1: the fraction that trains")
    groups: dict[str, list[AnnotatedImage]] = {}
    for name, image in zip(_groups(images, group_by), images, strict=True):
        groups.setdefault(name, []).append(image)
    if len(groups) < 2:
        what = f"group ({group_by})" if group_by else "image"
        raise ValueError(f"there is only one {what}, which cannot be divided into train and val")
    order = sorted(groups, key=lambda name: (zlib.crc32(f"{seed}:{name}".encode()), name))
    wanted = (1 - fraction) * len(images)
    val: list[str] = []
    count = 0
    for name in order[:-1]:  # one group at least trains
        after = count + len(groups[name])
        if val and abs(after - wanted) >= abs(count - wanted):
            continue  # a smaller group may fit better
        val, count = [*val, name], after
    chosen = set(val)
    found: dict[str, list[AnnotatedImage]] = {"train": [], "val": []}
    for name, members in groups.items():
        found["val" if name in chosen else "train"] += members
    return {name: sorted(members, key=lambda i: i.name) for name, members in found.items()}


def _split_name(image: AnnotatedImage) -> str | None:
    for text in (image.subset or "", image.folder):
        if name := split_of(text):
            return name
        if "test" in re.split(r"[^a-z]+", text.lower()):
            return "test"
    return None


def _groups(images: Sequence[AnnotatedImage], group_by: str | None) -> list[str]:
    if group_by is None:
        return [image.name for image in images]
    if group_by in ("folder", "video"):
        is_video = group_by == "video"
        return [(image.video if is_video else None) or image.folder for image in images]
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ValueError(f"--group-by {group_by}: not a regular expression: {error}") from error
    matches = [pattern.search(image.name) for image in images]
    if not any(matches):
        raise ValueError(f"--group-by {group_by} matches no image, e.g. not {images[0].name}")
    return [
        image.name if match is None else (match[1] if pattern.groups else match[0]) or image.name
        for match, image in zip(matches, images, strict=True)
    ]
