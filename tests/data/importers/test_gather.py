"""What is taken of a source, whatever its format."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_lab.data.importers.annotated import Instance
from sapiens_lab.data.importers.files import ImageFiles
from sapiens_lab.data.importers.gather import Gatherer, ellipse
from tests.data.importers import sources


def test_sizes_are_those_that_a_viewer_shows(tmp_path: Path) -> None:
    """EXIF turns an image; the header of a large file is found in its beginning."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40)).save(tmp_path / "turned.jpg", exif=exif)
    noise = np.random.default_rng(0).integers(0, 255, (300, 500, 3), np.uint8)
    for suffix in (".jpg", ".png", ".bmp", ".tif", ".webp"):
        cv2.imwrite(str(tmp_path / f"large{suffix}"), noise, [cv2.IMWRITE_JPEG_QUALITY, 100])
    gatherer = Gatherer(tmp_path)
    found = {
        image.name: image.size for name in gatherer.files.names if (image := gatherer.image(name))
    }
    assert found.pop("turned.jpg") == (80, 40)
    assert len(found) == 5
    assert set(found.values()) == {(300, 500)}


def test_what_is_no_image_is_left_out(tmp_path: Path) -> None:
    sources.text(tmp_path / "a.jpg", "no image")
    (tmp_path / "b.jpg").symlink_to("/etc/passwd")
    (tmp_path / "c.jpg").write_bytes(b"\x89PNG\r\n\x1a\n")
    gatherer = Gatherer(tmp_path)
    assert [gatherer.image(name) for name in "abc"] == [None] * 3
    assert gatherer.dropped.counts == {"images that cannot be read": 3}


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ("a.jpg", None),  # two of them
        ("x/a.jpg", "x/a.jpg"),
        ("C:\\data\\x\\a.jpg", "x/a.jpg"),
        ("/home/me/y/A.JPG", "y/a.jpg"),
        ("y/a", "y/a.jpg"),
        ("only.png", "z/only.png"),
        ("../../z/only.png", "z/only.png"),
        ("", None),
        ("..", None),
        ("z", None),
    ],
)
def test_images_are_found_by_the_end_of_their_path(
    tmp_path: Path, stated: str, name: str | None
) -> None:
    for path in ("x/a.jpg", "y/a.jpg", "z/only.png"):
        sources.image(tmp_path / path)
    assert ImageFiles(tmp_path).find(stated) == name


def test_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    sources.image(tmp_path / "x/a.jpg")
    (tmp_path / "x/loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "x")
    assert len(ImageFiles(tmp_path).names) == 1


def test_people_with_too_many_points_are_left_out(tmp_path: Path) -> None:
    sources.image(tmp_path / "a.jpg")
    gatherer = Gatherer(tmp_path)
    image = gatherer.image("a.jpg")
    assert image is not None
    gatherer.add(image, Instance(label="x", keypoints={str(i): (1, 1, 2) for i in range(2001)}))
    assert gatherer.dropped.counts == {"people with more than 2000 keypoints": 1}


def test_ellipses() -> None:
    """Radii 3 and 1, turned by 90 degrees about (10, 20)."""
    outline = ellipse((10, 20), (3, 1), 90)
    x, y = np.array(outline[::2]), np.array(outline[1::2])
    assert (x.min(), x.max(), y.min(), y.max()) == pytest.approx((9, 11, 17, 23))
