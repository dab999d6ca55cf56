"""Any tree of pictures, without annotations: what pretraining learns from."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch.utils.data import Dataset

from sapiens_lab.data.datasets.folder_pairs import Split, splits_in
from sapiens_lab.data.datasets.map_samples import OnError, make_sample
from sapiens_lab.data.images import read_image
from sapiens_lab.data.sample import Sample

log = logging.getLogger(__name__)

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


class ImageFolder(Dataset[Sample]):
    """Every picture below a folder, as a whole.

    Args:
        root: of the tree.
        split: pictures below ``train/`` or ``val/`` where the tree has such folders; else they are
            divided by a checksum of their names, always in the same way.
        val_fraction: share that validates, at least one picture.
        on_error: ``skip`` logs a picture that cannot be read, once, and takes the next one.

    Raises:
        FileNotFoundError: there is no such folder, or no picture in it.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        split: Split,
        val_fraction: float = 0.02,
        on_error: OnError = "raise",
    ) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"data.root={root} is not a folder (looked from {Path.cwd()})")
        found = sorted(
            p.relative_to(self.root).as_posix()
            for p in self.root.rglob("*")
            if p.suffix.lower() in SUFFIXES
        )
        if not found:
            raise FileNotFoundError(
                f"no picture below {root}; looked for {', '.join(sorted(SUFFIXES))}"
            )
        self.names = _of_split(found, split, val_fraction)
        self.on_error = on_error
        self._faulty: set[str] = set()  # already named by this process
        log.info("%s: %d of %d pictures below %s", split, len(self.names), len(found), root)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Return a picture.

        Raises:
            ValueError: it cannot be read and ``on_error`` is ``raise``; names it.
        """
        for step in range(len(self)):
            place = (index + step) % len(self)
            path = self.root / self.names[place]
            try:
                return make_sample(read_image(path), path, place)
            except (ValueError, FileNotFoundError) as error:
                if self.on_error == "raise":
                    raise ValueError(f"{error}. data.on_error=skip goes on without it") from error
                if self.names[place] not in self._faulty:
                    self._faulty.add(self.names[place])
                    log.warning("skipped: %s", error)
        raise ValueError(f"none of the pictures in {self.root} can be read")


def _of_split(
    names: Sequence[str], split: Literal["train", "val"], val_fraction: float
) -> list[str]:
    """Choose by the words of the path, or else by a checksum of the name."""
    worded = {name: splits_in(str(Path(name).parent)) for name in names}
    if any(split in words for words in worded.values()):
        return [name for name in names if split in worded[name]]
    order = sorted(names, key=lambda name: zlib.crc32(name.encode()))
    count = max(1, round(val_fraction * len(names))) if len(names) > 1 else 0
    chosen = order[:count] if split == "val" else order[count:]
    return sorted(chosen or order)
