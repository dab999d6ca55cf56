"""Any tree of images, without annotations: what pretraining learns from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.image_checks import check_images
from sapiens_lab.data.datasets.whole_image import make_sample
from sapiens_lab.data.discovery.splits import Split
from sapiens_lab.data.discovery.trees import find_images
from sapiens_lab.data.fields import EncodedImage
from sapiens_lab.data.images import read_content, size_of
from sapiens_lab.data.sample import Sample
from sapiens_lab.ranges import Within


class ImageFolder(Dataset):
    """Every image below a folder, as a whole.

    Args:
        root: of the tree.
        split: images below ``train/`` or ``val/`` if the tree has folders of both; else all are
            divided by a checksum of their names, always in the same way. An image alone serves
            both.
        val_fraction: fraction that validates, at least one image; ``None``: all serve both splits.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
    """

    def __init__(
        self, root: str | Path, *, split: Split, val_fraction: Within | None = 0.02
    ) -> None:
        self.root = Path(root)
        self.names = find_images(root, split, val_fraction=val_fraction)

        paths = [self.root / self.names[i] for i in spread(len(self.names))]
        check_images(paths, source=self.root, on_error="skip")

    def image_paths(self) -> Sequence[Path]:
        """Return the images' files."""
        return [self.root / name for name in self.names]

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
