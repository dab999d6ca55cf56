"""Any tree of images, without annotations: what pretraining learns from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path, PurePath

from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.whole_image import make_sample
from sapiens_lab.data.discovery.splits import SPLITS, Split, check_root, divide, split_of
from sapiens_lab.data.fields import EncodedImage
from sapiens_lab.data.images import SUFFIXES, read_content, size_of
from sapiens_lab.data.sample import Sample

log = logging.getLogger(__name__)


class ImageFolder(Dataset):
    """Every image below a folder, as a whole.

    Args:
        root: of the tree.
        split: images below ``train/`` or ``val/`` if the tree has folders of both; else all are
            divided by a checksum of their names, always in the same way. An image alone serves
            both.
        val_fraction: fraction that validates, at least one image.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        split: Split,
        val_fraction: float = 0.02,
    ) -> None:
        self.root = check_root(root, split)
        found = sorted(
            p.relative_to(self.root).as_posix()
            for p in self.root.rglob("*")
            if p.suffix.lower() in SUFFIXES
        )
        if not found:
            raise FileNotFoundError(
                f"no image below {root}; looked for {', '.join(sorted(SUFFIXES))}"
            )
        self.names = _of_split(found, split, val_fraction)
        log.info("%s: %d of %d images below %s", split, len(self.names), len(found), root)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Return an image, still encoded.

        Raises:
            FileNotFoundError: it is gone.
            CorruptImageError: it is truncated or no image; names it.
        """
        path = self.root / self.names[index]
        return encoded_sample(read_content(path), str(path), index)


def encoded_sample(content: bytes, name: str, index: int) -> Sample:
    """Return the file of an image as a sample, boxed as a whole.

    Raises:
        CorruptImageError: it is truncated or no image; names it.
    """
    image = EncodedImage(content=content, name=name, size=size_of(content, name))
    return make_sample(image, name, index)


def _of_split(names: Sequence[str], split: Split, val_fraction: float) -> list[str]:
    """Choose by the folders if they name both splits, or else by a checksum of the name."""
    named = {name: split_of(PurePath(name).parent) for name in names}
    if set(named.values()).issuperset(SPLITS):
        return [name for name in names if named[name] == split]
    return divide(names, split, val_fraction) if len(names) > 1 else list(names)
