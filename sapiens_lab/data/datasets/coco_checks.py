"""What people and parts of COCO files have in common: checks of the whole file, and its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sapiens_lab.data.checks import json_files
from sapiens_lab.data.checks.finding import settle
from sapiens_lab.data.discovery.coco import CocoFile


def check_file(file: CocoFile) -> None:
    """Check ids and names of a parsed file, and that annotations and images belong together.

    Raises:
        ValueError: they do not; names the ids and the remedy.
    """
    images, annotations = file.content["images"], file.content["annotations"]
    faults = [
        json_files.check_repeated_keys(file.path.read_bytes(), file.content),
        *json_files.check_image_ids(images),
        json_files.check_annotation_ids(annotations),
        json_files.check_image_links(annotations, images),
    ]
    settle(faults, source=file.path)


def stated_size(image: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the (height, width) that a file states for an image, if it does."""
    height, width = image.get("height"), image.get("width")
    return (height, width) if height and width else None
