"""Put the images of a conversion into its folder, or leave them where they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from sapiens_lab.data.conversion.splits import WHOLE
from sapiens_lab.data.importers.annotated import AnnotatedImage

Images = Literal["link", "copy", "none"]
# By split: the images and their file names.
Placed: TypeAlias = dict[str, list[tuple[AnnotatedImage, str]]]


def place_images(
    root: Path,
    splits: dict[str, list[AnnotatedImage]],
    part: Path,
    how: Images,
) -> Placed:
    """Link or copy images into the new folder, and return what each is called there."""
    placed: Placed = {}
    for split, images in splits.items():
        if how == "none":
            placed[split] = [(image, image.name) for image in images]
            continue
        folder = image_dir(part, split, root, how)
        names = _short_names([image.name for image in images])
        for image, name in zip(images, names, strict=True):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _put(image.path, target, how)
        placed[split] = list(zip(images, names, strict=True))
    return placed


def image_dir(out: Path, split: str, root: Path, how: Images) -> Path:
    """Return the folder that the file names of a split are relative to."""
    if how == "none":
        return root.absolute()
    return out / "images" if split == WHOLE else out / "images" / split


def _short_names(names: Sequence[str]) -> list[str]:
    """Return names without the folders that all of them share."""
    folders = [name.split("/")[:-1] for name in names]
    shared = 0
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return ["/".join(name.split("/")[shared:]) for name in names]


def _put(source: Path, target: Path, how: Images) -> None:
    """Link an image, or copy it where the file system cannot link."""
    if how == "link":
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)
