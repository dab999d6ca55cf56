"""``Result``: what the predictions of all tasks share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab.visualize.grid import grid
from sapiens_lab.visualize.image import RGBImage, fit_height

if TYPE_CHECKING:
    from sapiens_lab.inference.results.files import Kind

_WIDEST = 4096  # columns of the same
_SHOWN = (256, 1080)  # rows of an image with a legend: smaller ones are enlarged, larger reduced


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """The prediction of one task in one image, at the image's size."""

    task: ClassVar[str]

    image: RGBImage  # (H, W, 3) RGB, as read
    path: str  # of its file, or what it was called

    @abstractmethod
    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Return the prediction as arrays, by name."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return a summary as plain values: names and scores, never whole maps."""

    @abstractmethod
    def overlay(self) -> RGBImage:
        """Return the prediction drawn at the image's size ``(H, W, 3)``, without a legend."""

    def plot(self) -> RGBImage:
        """Return the prediction as people look at it, with its legend; of 256 to 1080 rows."""
        return self._legend(shown(self.overlay()))

    def panels(self) -> RGBImage:
        """Return the image beside the prediction, each with a title."""
        return grid([[shown(self.image), self.plot()]], titles=("image", self.task))

    def save(
        self, folder: str | Path, kinds: Sequence[Kind] | None = None, *, name: str | None = None
    ) -> list[Path]:
        """Write files into ``folder``, which is made; what is there is not overwritten.

        Args:
            folder: a subfolder for each kind of file.
            kinds: as ``--save`` of ``sapiens predict``; the task's usual ones by default.
            name: of the files; that of the image by default.

        Raises:
            FileExistsError: one of the files exists.
            WriteError: there is no room or no permission.
        """
        from sapiens_lab.inference.results.files import save

        return save([self], Path(folder), kinds, name=name)

    def _legend(self, image: RGBImage) -> RGBImage:
        return image

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        return encode_png(self.plot())

    def _title(self) -> str:
        height, width = self.image.shape[:2]
        return f"{type(self).__name__}({Path(self.path).name}, {width}x{height}"


class MultiResult(Mapping[str, Result]):
    """The predictions of several tasks in one image, by the tasks' names."""

    def __init__(self, results: Mapping[str, Result]) -> None:
        self._results = dict(results)

    def __getitem__(self, task: str) -> Result:
        return self._results[task]

    def __iter__(self) -> Any:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        return "\n".join(repr(result) for result in self.values())

    @property
    def image(self) -> RGBImage:
        """The image as read, ``(H, W, 3)`` RGB."""
        return next(iter(self.values())).image

    @property
    def path(self) -> str:
        """The image's file, or what it was called."""
        return next(iter(self.values())).path

    def plot(self) -> RGBImage:
        """Return the image and all predictions side by side, each with a title."""
        drawn = [result.plot() for result in self.values()]
        return grid([[shown(self.image), *drawn]], titles=("image", *self))

    panels = plot

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of all predictions; no two tasks name one alike."""
        return {name: array for r in self.values() for name, array in r.to_numpy().items()}

    def to_json(self) -> dict[str, Any]:
        """Return the summaries by the tasks' names."""
        return {name: result.to_json() for name, result in self.items()}

    def save(
        self, folder: str | Path, kinds: Sequence[Kind] | None = None, *, name: str | None = None
    ) -> list[Path]:
        """Write the files of all predictions, as ``Result.save`` does."""
        from sapiens_lab.inference.results.files import save

        return save(list(self.values()), Path(folder), kinds, name=name)

    def _repr_png_(self) -> bytes:
        return encode_png(self.plot())


def shown(image: RGBImage) -> RGBImage:
    """Return an image of a size that is looked at: 256 to 1080 rows, at most 4096 columns."""
    height, width = image.shape[:2]
    low, high = _SHOWN
    most = max(1, min(high, height * _WIDEST // width))
    return fit_height(image, min(low, most), most)


def encode_png(image: RGBImage) -> bytes:
    """Return an image as the content of a PNG file."""
    _, content = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    return bytes(content.tobytes())
