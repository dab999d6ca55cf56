"""A converted dataset: annotations over whole images, in rows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sapiens_lab import geometry
from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.conversion.coco_rows import box_of, points_of
from sapiens_lab.data.conversion.converting import Converted
from sapiens_lab.data.conversion.mask_files import draw_labels
from sapiens_lab.data.images import read_image
from sapiens_lab.data.importers.annotated import AnnotatedImage
from sapiens_lab.visualize.grid import grid
from sapiens_lab.visualize.image import RGBImage, add_caption, fit_height
from sapiens_lab.visualize.maps import color_parts
from sapiens_lab.visualize.pose import draw_pose

_HEIGHT = 256  # of an image in the grid
_WIDEST = 1.5  # of one, in heights; wider ones lose their sides
_COLUMNS = 4
_OPACITY = 0.5
_BOX = (255, 255, 255)


def draw_converted(converted: Converted, count: int) -> RGBImage:
    """Draw images from all over a converted dataset in rows of four, each with its file's name.

    What is drawn is what was written: boxes that were made, points in their new order.

    Args:
        converted: the dataset.
        count: of images, at most.
    """
    skeleton = Skeleton.load(converted.skeleton) if converted.skeleton else None
    parts = Parts.load(converted.parts) if converted.parts else None
    images = [image for images in converted.splits.values() for image in images]
    drawn = [_draw(images[i], converted, skeleton, parts) for i in spread(len(images), count)]
    return grid([drawn[i : i + _COLUMNS] for i in range(0, len(drawn), _COLUMNS)])


def _draw(
    annotated: AnnotatedImage, converted: Converted, skeleton: Skeleton | None, parts: Parts | None
) -> RGBImage:
    source = read_image(annotated.path)
    if parts is not None:
        source = _colored(source, draw_labels(annotated, converted.class_ids, background=0), parts)
    image = fit_height(source, _HEIGHT, _HEIGHT)
    matrix = geometry.resize((source.shape[0], source.shape[1]), (image.shape[0], image.shape[1]))
    for person in annotated.instances:
        if skeleton is None or converted.target is None or not person.keypoints:
            continue
        points = np.array(points_of(person, converted.target), np.float64)
        x, y, width, height = box_of(person, points, annotated.size)
        corners = geometry.apply(matrix, np.array([[x, y], [x + width, y + height]]))
        start, end = np.round(corners).astype(int).tolist()
        cv2.rectangle(image, start, end, _BOX, 1)
        xy = geometry.apply(matrix, points[:, :2])
        image = draw_pose(image, xy, points[:, 2], skeleton=skeleton)
    return add_caption(_trimmed(image), annotated.path.name[-28:])


def _colored(image: RGBImage, labels: NDArray[np.uint8], parts: Parts) -> RGBImage:
    """Return an image with its regions, half in their colors."""
    mixed = (1 - _OPACITY) * image + _OPACITY * color_parts(labels, parts)
    return np.where((labels != 0)[..., None], mixed, image).astype(np.uint8)


def _trimmed(image: RGBImage) -> RGBImage:
    excess = image.shape[1] - int(_WIDEST * _HEIGHT)
    if excess <= 0:
        return image
    return np.ascontiguousarray(image[:, excess // 2 : image.shape[1] - (excess + 1) // 2])
