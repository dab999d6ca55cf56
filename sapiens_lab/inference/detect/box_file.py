"""People whose boxes are in a file: COCO annotations, or a detector's results in COCO's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.loading import read_json
from sapiens_lab.data.checks.finding import settle
from sapiens_lab.data.checks.json_files import check_detections, check_structure
from sapiens_lab.inference.boxes import Boxes, Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxesOfFile:
    """Looks the boxes of an image up by its name.

    Args:
        path: of the file, for messages.
        boxes: by the name of an image without folder and suffix, or by its number.
        select: which boxes are kept.
    """

    path: Path
    boxes: Mapping[str, NDArray[np.float32]]  # (N, 5) xyxy and score
    select: Selection

    def __call__(self, image: NDArray[np.uint8], name: str) -> Boxes:
        """Return the boxes of an image; none where the file has none for it."""
        stem = Path(name).stem
        number = str(int(stem)) if stem.isascii() and stem.isdigit() else stem
        rows = self.boxes.get(stem, self.boxes.get(number))
        if rows is None:
            raise ValueError(f"{self.path} has no boxes for {name}")
        return self.select(Boxes.of(rows, name), (image.shape[0], image.shape[1]))


def read_boxes(path: Path, *, select: Selection) -> BoxesOfFile:
    """Read boxes from a JSON file.

    Annotations name the image of a box by its ``file_name``; results only by its number, which must
    then be the name of the image, as COCO's ``000000000785.jpg`` has it. Of several categories, 1
    is the person; crowds are left out. Boxes that overlap are all kept.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is neither annotations nor results.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path} of boxes")
    content = read_json(path)
    if isinstance(content, list):
        settle(check_detections(content), source=path)
        rows, names = content, {}
    else:
        settle(check_structure(content), source=path)
        rows = content.get("annotations") or []
        images = content.get("images") or []
        names = {image["id"]: Path(str(image["file_name"])).stem for image in images}
    found: dict[str, list[list[float]]] = {name: [] for name in names.values()}
    for row in rows:
        if row.get("iscrowd") or row.get("category_id", 1) != 1 or not _is_box(row.get("bbox")):
            continue
        x, y, width, height = (float(v) for v in row["bbox"])
        name = names.get(row["image_id"], str(row["image_id"]))
        score = float(row.get("score", 1.0))
        found.setdefault(name, []).append([x, y, x + width, y + height, score])
    if not any(found.values()):
        raise ValueError(f"{path} holds no box of a person (category_id 1, bbox: x, y, w, h)")
    boxes = {name: np.array(b, np.float32).reshape(-1, 5) for name, b in found.items()}
    # Annotated people may stand close together, and a detector has left its doubles out.
    return BoxesOfFile(path=path, boxes=boxes, select=replace(select, nms=1.0))


def _is_box(bbox: Any) -> bool:
    return isinstance(bbox, list) and len(bbox) == 4 and bbox[2] > 0 and bbox[3] > 0
