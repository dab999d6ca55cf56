"""``MapDataset``: what datasets of an image and its map share: reading, and checks before a run."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.data.arrays import read_mask, read_size
from sapiens_lab.data.checks.finding import Finding, OnError, of_rows, settle
from sapiens_lab.data.checks.maps import Look, step_for
from sapiens_lab.data.checks.masks import mixed_fraction
from sapiens_lab.data.checks.sampling import spread, spread_pairs
from sapiens_lab.data.dataset import Dataset, PixelCounts
from sapiens_lab.data.datasets.header_checks import check_headers
from sapiens_lab.data.datasets.image_checks import look_at_images, read_gray
from sapiens_lab.data.datasets.whole_image import make_sample
from sapiens_lab.data.fields import Field, Image
from sapiens_lab.data.images import read_image
from sapiens_lab.data.sample import Sample

log = logging.getLogger(__name__)

Size: TypeAlias = tuple[int, int]  # (height, width)
Mask: TypeAlias = NDArray[np.bool_]  # (H, W) where the person is


class MapDataset(Dataset):
    """Images with one map each, whole, in the source frame; boxed by their masks.

    Subclass it, find the files, and write ``read_map``. Datasets in folders share these arguments:

    ========================  ======================================================================
    ``root``                  folder of the dataset
    ``split``                 ``train`` or ``val``; folders may be split, inside or outside
    ``val_fraction``          fraction that validates if they are not, chosen by a checksum of the
                              names, always in the same way; ``None`` divides nothing
    ``group_by``              what of them stays on one side: ``folder``, or a regular expression on
                              the names whose first group, or whole match, is the group
    ``image_dir``, ``*_dir``  folders, absolute or relative to ``root``; ``None`` searches them
    ``on_error``              ``skip`` logs images without a map, and faulty files, and goes on
    ========================  ======================================================================

    They raise ``FileNotFoundError`` for a folder that is missing or empty, with what is there
    instead, and ``ValueError`` for names, sizes or values that do not fit, with the files.

    Args:
        files: paths by kind, one per sample: of each ``image`` and, if there are any, of each
            foreground ``mask``.
        on_error: see above.
    """

    field: ClassVar[str]  # the name of the map in ``Sample.fields``

    def __init__(self, files: Mapping[str, Sequence[Path]], *, on_error: OnError) -> None:
        self.on_error: OnError = on_error
        self._images = files["image"]
        self._masks = files.get("mask")

    @abstractmethod
    def read_map(self, index: int, size: Size, mask: Mask | None) -> Field:
        """Read the map of an image of ``size``; what the mask excludes is invalid.

        Raises:
            ValueError, FileNotFoundError: it cannot be read, or has another size; names it.
        """

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        """Return an image and its map.

        Raises:
            IndexError: beyond the dataset.
            ValueError, FileNotFoundError: its files cannot be read; names them.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        path = self._images[index]
        image = Image(pixels=read_image(path))
        mask = self._read_mask(index, image.size)
        sample = make_sample(image, path, index, mask)
        sample.fields[self.field] = self.read_map(index, image.size, mask)
        return sample

    def image_paths(self) -> Sequence[Path]:
        """Return the images' files."""
        return self._images

    def check_samples(self) -> None:
        """Look into samples all over the dataset and report what is wrong, all of it together.

        Raises:
            ValueError: some files are faulty; the first five of each fault are named. With
                ``on_error=skip`` only if the others are of no use either.
        """
        indices = spread_pairs(len(self))
        images = look_at_images([self._images[i] for i in indices])
        looks, messages = [], list(images.messages)
        for place, index in enumerate(indices):
            if not messages[place]:
                try:
                    looks.append(self.look(index))
                except (ValueError, FileNotFoundError) as error:
                    messages[place] = str(error)
        unreadable = of_rows(
            "error",
            [bool(message) for message in messages],
            "files that were looked into are faulty",
            name=lambda place: messages[place],
            remedy="",
        )
        faults = [*images.faults(), *self.find_faults(looks)] if looks else []
        settle([unreadable, *faults], source=self.source, on_error=self.on_error)
        for others in (self.map_paths(), self._masks or ()):
            if others:
                headers = check_headers(self._images, others)
                settle([headers], source=others[0].parent, on_error=self.on_error)

    @property
    @abstractmethod
    def source(self) -> Path:
        """The file or folder of the maps, for messages."""

    def annotation_paths(self) -> Sequence[Path]:
        """Return the files of maps and masks, or the one file of all maps."""
        return [*(self.map_paths() or [self.source]), *(self._masks or ())]

    def map_paths(self) -> Sequence[Path]:
        """Return the files of the maps, if each is one."""
        return ()

    @abstractmethod
    def read_values(
        self, index: int, size: Size, mask: Mask | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a map for the checks: its values ``(H, W)`` or more, and where they count.

        Raises:
            ValueError, FileNotFoundError: as ``read_map``.
        """

    @abstractmethod
    def find_faults(self, looks: Sequence[Look]) -> Sequence[Finding | None]:
        """Check maps that could be read; there is at least one."""

    def look(self, index: int) -> Look:
        """Read a map and its image for the checks, thinned out.

        Raises:
            ValueError, FileNotFoundError: they cannot be read; names them.
        """
        size, mask = self.read_header(index)
        values, valid = self.read_values(index, size, mask)
        known = self.read_values(index, size, None)[1] if mask is not None else valid
        counted = values[valid]
        step = step_for(size)
        thin = valid[::step, ::step]
        return Look(
            name=self.map_name(index),
            index=index,
            values=values[::step, ::step].copy(),
            valid=thin.copy(),
            low=float(counted.min()) if counted.size else 0.0,
            high=float(counted.max()) if counted.size else 0.0,
            density=_mean(known, mask),
            density_outside=_mean(known, None if mask is None else ~mask),
            mixed=mixed_fraction(values) if values.dtype == np.uint8 else 0.0,
            gray=read_gray(self._images[index], thin.shape),
        )

    @abstractmethod
    def map_name(self, index: int) -> str:
        """Return how messages call a map."""

    def read_header(self, index: int) -> tuple[Size, Mask | None]:
        """Return the size of an image, from its header, and its mask."""
        size = read_size(self._images[index])
        return size, self._read_mask(index, size)

    def _read_mask(self, index: int, size: Size) -> Mask | None:
        if self._masks is None:
            return None
        mask = read_mask(self._masks[index])
        check_size(self._images[index], self._masks[index], mask.shape, size)
        return mask


def _mean(known: Mask, where: Mask | None) -> float:
    """Return the fraction of pixels that are known; 0 of none."""
    chosen = known if where is None else known[where]
    return float(chosen.mean()) if chosen.size else 0.0


def check_size(image: Path, other: Path, size: tuple[int, ...], expected: Size) -> None:
    """Compare the (height, width) of a map with its image's.

    Raises:
        ValueError: they differ; names both files.
    """
    if size[:2] != expected:
        raise ValueError(
            f"{other} is {size[0]} x {size[1]} (height x width) but its image {image} is "
            f"{expected[0]} x {expected[1]}; resize the map without mixing its values (nearest)"
        )


def count_labels(
    read_ids: Callable[[int], NDArray[np.uint8]],
    length: int,
    *,
    limit: int | None,
    on_error: OnError,
) -> PixelCounts:
    """Count the pixels of each class in label maps all over the dataset.

    Args:
        read_ids: returns the class ids ``(H, W)`` of one index.
        length: of the dataset.
        limit: read so many maps at most; ``None`` reads all.
        on_error: ``skip`` logs faulty maps and leaves them out.

    Raises:
        ValueError, FileNotFoundError: a map is faulty and ``on_error`` is not ``skip``.
    """
    counts, num_maps = np.zeros(256, np.int64), 0
    for index in spread(length, limit):
        try:
            ids = read_ids(index)
        except (ValueError, FileNotFoundError) as error:
            if on_error == "raise":
                raise
            log.warning("not counted: %s", error)
        else:
            counts += np.bincount(ids.ravel(), minlength=256)
            num_maps += 1
    return PixelCounts(counts, num_maps)
