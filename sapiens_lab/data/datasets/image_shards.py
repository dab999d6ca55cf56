"""Images in tar archives: what pretraining reads if a tree has too many files."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from rich.progress import track

from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.image_checks import check_entries
from sapiens_lab.data.datasets.image_folder import encoded_sample
from sapiens_lab.data.discovery.splits import Split
from sapiens_lab.data.discovery.trees import find_archives
from sapiens_lab.data.sample import Sample
from sapiens_lab.data.shards.tar_index import Index, load_index, read_entry
from sapiens_lab.ranges import Within

log = logging.getLogger(__name__)

_THREADS = 16  # reading headers waits for the disk


class ImageShards(Dataset):
    """Every image in the tar archives of a folder, as a whole.

    The archives are those of ``sapiens shards`` or of WebDataset; entries that are not images
    are passed over. A table of offsets is made once for every archive that has none.

    Args:
        root: of the archives; its subfolders are searched too.
        split: archives whose names or folders name it, as in ``train-000007.tar`` or
            ``val/7.tar``; if none does, the last ones in the order of names validate.
        val_fraction: fraction of the archives that validates in that case, at least one; ``None``:
            all serve both splits.

    Attributes:
        group_sizes: number of images of every archive; a sampler reads archives one by one.

    Raises:
        FileNotFoundError: there is no such folder, or no archive for the split in it.
        CorruptArchiveError: an archive is compressed, damaged or cut off; names it.
        ValueError: none of the images that are looked into can be read.
    """

    def __init__(
        self, root: str | Path, *, split: Split, val_fraction: Within | None = 0.02
    ) -> None:
        self.archives = find_archives(root, split, val_fraction=val_fraction)
        with ThreadPoolExecutor(_THREADS) as pool:
            sizes = pool.map(lambda path: len(load_index(path)), self.archives)
            title = f"Reading {len(self.archives)} archives ({split})"
            shown = track(sizes, title, total=len(self.archives), transient=True)
            self.group_sizes = list(shown)
        self._ends = np.cumsum(self.group_sizes)
        if not len(self):
            raise FileNotFoundError(
                f"no image in the {len(self.archives)} archives of the {split} set below {root}"
            )
        reads = [partial(self._read, i) for i in spread(len(self))]
        check_entries(reads, source=root)
        log.info("%s: %d images in %d archives", split, len(self), len(self.archives))

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Sample:
        """Return an image, still encoded.

        Raises:
            CorruptArchiveError: its archive has changed; names it.
            CorruptImageError: it is truncated or no image; names archive and entry.
            FileNotFoundError: its archive is gone.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        name, content = self._read(index)
        return encoded_sample(content, name, index)

    def _read(self, index: int) -> tuple[str, bytes]:
        """Return archive and entry as one name, and the entry's content."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        archive = self.archives[number]
        row = _index(archive)[index - int(self._ends[number])]  # counted from the archive's end
        name, content = read_entry(archive, row)
        return f"{archive}/{name}", content


@lru_cache(maxsize=256)
def _index(archive: Path) -> Index:
    """Keep the tables of the archives that are being read; a window of the sampler has 16."""
    return load_index(archive)
