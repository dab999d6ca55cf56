"""``PartResult``: the body part of every pixel of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.inference.results.result import Result
from sapiens_lab.visualize.image import RGBImage
from sapiens_lab.visualize.legend import class_legend
from sapiens_lab.visualize.maps import color_parts

if TYPE_CHECKING:
    import supervision

_OPACITY = 0.65


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartResult(Result):
    """A class for every pixel."""

    task: ClassVar[str] = "segmentation"

    labels: NDArray[np.uint8]  # (H, W) class ids
    parts: Parts

    def __repr__(self) -> str:
        found = self.counts()
        names = ", ".join(list(found)[1:4]) or "background only"
        return (
            f"{self._title()}: {len(found)} of {self.parts.num_classes} classes of "
            f"{self.parts.name}: {names}{', ...' if len(found) > 4 else ''})"
        )

    def counts(self) -> dict[str, int]:
        """Return the number of pixels of every class that is there, by its name."""
        counts = np.bincount(self.labels.ravel(), minlength=self.parts.num_classes)
        rows = zip(self.parts.classes, counts.tolist(), strict=False)
        return {name: count for name, count in rows if count}

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Return ``labels (H, W)`` uint8."""
        return {"labels": self.labels}

    def to_json(self) -> dict[str, Any]:
        """Return the classes with the pixels that each has."""
        return {
            "parts": self.parts.name,
            "classes": list(self.parts.classes),
            "pixels": self.counts(),
        }

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Return the classes but for the background as COCO's results, compressed RLE each.

        ``category_id`` is the class id; there are no scores, so each is 1.
        """
        rows = []
        for name in self.counts():
            class_id = self.parts.classes.index(name)
            if class_id == 0:
                continue
            rle = coco_mask.encode(np.asfortranarray((self.labels == class_id).astype(np.uint8)))
            counts = rle["counts"]
            text = counts.decode() if isinstance(counts, bytes) else counts
            rows.append(
                {
                    "image_id": image_id,
                    "category_id": class_id,
                    "segmentation": {"size": list(self.labels.shape), "counts": text},
                    "score": 1.0,
                }
            )
        return rows

    def to_supervision(self) -> supervision.Detections:
        """Return a mask for each class for the library ``supervision``, which must be installed."""
        import supervision

        ids = [self.parts.classes.index(name) for name in self.counts()]
        ids = [i for i in ids if i > 0]
        masks = np.stack([self.labels == i for i in ids]) if ids else np.zeros((0, 1, 1), bool)
        return supervision.Detections(
            xyxy=supervision.mask_to_xyxy(masks) if ids else np.zeros((0, 4)),
            mask=masks if ids else None,
            class_id=np.array(ids, int),
            data={"class_name": np.array([self.parts.classes[i] for i in ids])},
        )

    def overlay(self) -> RGBImage:
        """Return the classes in their colors over the image."""
        out: RGBImage = self.image.copy()
        for top in range(0, len(out), 256):  # in bands: floats of a 4K frame would be 200 MB
            rows = slice(top, top + 256)
            ids = self.labels[rows]
            mixed = _OPACITY * color_parts(ids, self.parts) + (1 - _OPACITY) * self.image[rows]
            out[rows][ids > 0] = mixed.round().astype(np.uint8)[ids > 0]
        return out

    def _legend(self, image: RGBImage) -> RGBImage:
        names = [name for name in self.counts() if name != self.parts.classes[0]]
        ids = np.array([self.parts.classes.index(name) for name in names], np.uint8)
        colors = [tuple(color) for color in color_parts(ids, self.parts).tolist()]
        legend = class_legend(names, colors, image.shape[0], all_names=self.parts.classes)
        return np.hstack([image, legend])
