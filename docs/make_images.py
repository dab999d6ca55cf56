"""Make the images of README and docs: rendered people, their annotations, and predictions.

python docs/make_images.py                                    docs/rendered_people.jpg
python docs/make_images.py outputs/pose/synthetic/<time>      docs/predictions.jpg as well
python docs/make_images.py outputs/pretrain/synthetic/<time>  docs/reconstructions.jpg as well
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople
from sapiens_lab.visualize.grid import grid
from sapiens_lab.visualize.image import RGBImage, write_image
from sapiens_lab.visualize.maps import color_depth, color_normal, color_parts
from sapiens_lab.visualize.pose import draw_pose

FOLDER = Path(__file__).parent
SCENES = (3, 5, 8, 13, 21, 34)


def rendered_people() -> RGBImage:
    """Return a sheet: one person a column; image, keypoints, parts, depth, normals."""
    people = SyntheticPeople(
        num_scenes=max(SCENES) + 1,
        image_size=(288, 216),
        split="test",
        skeleton="wholebody133",
        cache=False,
    )
    skeleton, parts = Skeleton.load("wholebody133"), Parts.load("goliath28")
    columns = []
    for index in SCENES:
        scene, sample = people.scene(index), people[index]
        assert sample.keypoints is not None
        points, visible = sample.keypoints.xy, sample.keypoints.visible
        columns.append(
            [
                scene.rgb,
                draw_pose(scene.rgb, points, visible, skeleton=skeleton),
                color_parts(scene.parts, parts),
                color_depth(scene.depth, scene.mask),
                color_normal(scene.normal, scene.mask),
            ]
        )
    return grid([list(row) for row in zip(*columns, strict=True)])


def write(name: str, image: RGBImage) -> None:
    """Write a JPEG of less than 300 KB."""
    for quality in (88, 80, 70, 60):
        path = FOLDER / name
        write_image(path, image, options=(cv2.IMWRITE_JPEG_QUALITY, quality))
        if path.stat().st_size < 300_000:
            return
    raise ValueError(f"{name} cannot be made small enough")


if __name__ == "__main__":
    write("rendered_people.jpg", rendered_people())
    if len(sys.argv) > 1:
        run = Path(sys.argv[1]).resolve()
        last = sorted((run / "predictions").glob("*.png"))[-1]
        name = "reconstructions.jpg" if "pretrain" in run.parts else "predictions.jpg"
        write(name, np.asarray(cv2.imread(str(last)))[..., ::-1])
