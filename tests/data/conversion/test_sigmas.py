"""Sigmas from repeated annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.conversion.sigmas import estimate_sigmas, sigmas_yaml
from tests.data.importers import sources

NAMES = ["nose", "left_eye", "right_eye"]


def flat(points: list[list[Any]]) -> list[Any]:
    return [value for point in points for value in point]


def coco(path: Path, people: list[list[Any]], *, area: float = 10_000, names: Any = NAMES) -> Path:
    """Write people, one list of points for each image."""
    rows = [
        {"id": i, "image_id": i, "category_id": 1, "keypoints": flat(points), "area": area,
         "bbox": [0, 0, 100, 100]}
        for i, points in enumerate(people)
    ]  # fmt: skip
    listed = [{"id": i, "file_name": f"x/{i}.jpg"} for i in range(len(people))]
    categories = [{"id": 1, "name": "person", "keypoints": list(names)}]
    return sources.dump(path, {"images": listed, "annotations": rows, "categories": categories})


def test_two_annotations_by_hand(tmp_path: Path) -> None:
    """Distances of 6, 8 and 0 of a person of size 100: half of their squares, over the area."""
    a = coco(tmp_path / "a.json", [[[10, 10, 2], [50, 50, 2], [70, 70, 2]]] * 2)
    b = coco(tmp_path / "b.json", [[[16, 10, 1], [50, 58, 2], [70, 70, 2]]] * 2)
    found = estimate_sigmas([a, b], min_pairs=2)
    assert found.values == pytest.approx([np.sqrt(18) / 100, np.sqrt(32) / 100, 0])
    assert found.counts.tolist() == [2, 2, 2]
    assert (found.num_people, found.num_single) == (2, 0)


def test_known_noise_is_found(tmp_path: Path) -> None:
    """A standard deviation of s in x and in y is a sigma of s times the root of 2, by COCO."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 100, (300, 3, 2))
    noise = np.array([1.0, 2.0, 4.0])[:, None]
    files = []
    for i in range(3):
        xy = places + noise * rng.normal(size=places.shape)
        people = [[[x, y, 2] for x, y in person] for person in xy.tolist()]
        files.append(coco(tmp_path / f"{i}.json", people))
    found = estimate_sigmas(files)
    assert found.values == pytest.approx(np.sqrt(2) * noise[:, 0] / 100, rel=0.05)
    assert found.counts.tolist() == [900] * 3


def test_people_of_one_image_find_each_other(tmp_path: Path) -> None:
    """In whatever order; one that the other file does not have stays alone."""
    left = [[10, 10, 2], [20, 10, 2], [15, 20, 2]]
    right = [[310, 10, 2], [320, 10, 2], [315, 20, 2]]
    path = tmp_path / "a.json"
    for name, people in (("a", [left, right]), ("b", [right, left]), ("c", [right])):
        rows = [
            {"id": i, "image_id": 1, "category_id": 1, "keypoints": flat(p), "area": 100}
            for i, p in enumerate(people)
        ]
        path = sources.dump(
            tmp_path / f"{name}.json",
            {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": rows,
             "categories": [{"id": 1, "name": "person", "keypoints": NAMES}]},
        )  # fmt: skip
    found = estimate_sigmas([tmp_path / "a.json", tmp_path / "b.json"], min_pairs=2)
    assert found.values.tolist() == [0, 0, 0]
    assert found.num_people == 2
    with pytest.raises(ValueError, match=r"3 of 3 keypoints have fewer than 2 pairs .*nose 1"):
        estimate_sigmas([tmp_path / "a.json", path], min_pairs=2)


def test_what_is_printed_is_a_skeleton(tmp_path: Path) -> None:
    names = ["nose", "no", "it's 1"]
    a = coco(tmp_path / "a.json", [[[10, 10, 2], [50, 50, 2], [70, 70, 2]]] * 2, names=names)
    b = coco(tmp_path / "b.json", [[[16, 10, 2], [50, 58, 2], [70, 72, 2]]] * 2, names=names)
    text = "\n".join(sigmas_yaml(estimate_sigmas([a, b], min_pairs=2)))
    assert "{name: nose, sigma: 0.0424}  # 2 pairs" in text
    path = sources.text(tmp_path / "mine.yaml", text)
    assert [entry["name"] for entry in yaml.safe_load(text)["keypoints"]] == names
    assert Skeleton.load(path).sigmas.tolist() == [0.0424, 0.0566, 0.0141]


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    a = coco(tmp_path / "a.json", [[[1, 1, 2]] * 3])
    with pytest.raises(ValueError, match="two files"):
        estimate_sigmas([a])
    other = coco(tmp_path / "b.json", [[[1, 1, 2]] * 3], names=["x", "y", "z"])
    with pytest.raises(ValueError, match="has other keypoints"):
        estimate_sigmas([a, other])
    with pytest.raises(ValueError, match=r"nose 0"):
        estimate_sigmas([a, coco(tmp_path / "c.json", [])])
