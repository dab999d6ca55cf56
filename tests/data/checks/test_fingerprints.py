"""Difference hashes: copies agree, others do not, and many that are alike take little."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sapiens_lab.data.checks import fingerprints
from sapiens_lab.data.checks.glances import source_of
from sapiens_lab.data.checks.sampling import evenly


def prints(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    sides = (fingerprints.SIDE, 16)
    small = [[cv2.resize(i, (s, s), interpolation=cv2.INTER_AREA) for i in images] for s in sides]
    signs = np.array([fingerprints.signs_of(image.astype(np.float32)) for image in small[0]])
    return signs, np.array(small[1]).round().astype(np.uint8)


def scene(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    large: np.ndarray = cv2.resize(rng.uniform(0, 255, (8, 8)).astype(np.float32), (120, 90))
    return large.clip(0, 255)


def test_signs_are_those_of_the_differences() -> None:
    ramp = np.tile(np.arange(9, dtype=np.float32) * 10, (9, 1))
    signs = fingerprints.signs_of(ramp)
    assert signs.tolist() == [1] * 72 + [0] * 72
    assert fingerprints.signs_of(ramp / 20).any() == 0  # below the noise
    flipped = fingerprints.signs_of(ramp[:, ::-1])
    np.testing.assert_array_equal(fingerprints.flipped(signs[None])[0], flipped)


def test_copies_are_found_among_others() -> None:
    scenes = [scene(i) for i in range(40)]
    noise = np.random.default_rng(0).normal(0, 3, scenes[0].shape)
    copies = [scenes[7] + noise, scenes[9] * 0.9 + 10, cv2.resize(scenes[11], (60, 45))]
    pairs = fingerprints.alike(prints(scenes), prints([*copies, scene(99)]))
    assert pairs.tolist() == [[7, 0], [9, 1], [11, 2]]
    assert fingerprints.alike(prints(scenes)).tolist() == []
    assert fingerprints.alike(prints([*scenes, scenes[3]])).tolist() == [[3, 40]]


def test_plain_images_are_not_alike() -> None:
    plain = [np.full((90, 120), level, np.float32) for level in (0, 120, 255)]
    assert fingerprints.alike(prints(plain)).tolist() == []


def test_thousands_that_are_alike_give_few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_CHUNK", 64)
    signs, thumbnails = prints([scene(0)])
    many = np.repeat(signs, 200, 0), np.repeat(thumbnails, 200, 0)
    pairs = fingerprints.alike(many)
    assert sorted(set(pairs[:, 1].tolist())) == list(range(1, 200))
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(pairs) <= 200 * 8 * 4


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a/cam1/0001.jpg", "a/cam1"),
        ("a/walk2_0001.jpg", "a/walk2"),
        ("a/0001_left.jpg", "a/_left"),
        ("a/b/portrait.jpg", "a/b"),
        ("a/000000000785.jpg", "a"),
    ],
)
def test_a_source_is_a_folder_and_a_name_without_its_number(path: str, source: str) -> None:
    assert source_of(path) == source


@pytest.mark.parametrize("length", [0, 1, 2, 5, 64, 100])
def test_every_beginning_of_the_order_is_spread(length: int) -> None:
    order = evenly(length)
    assert sorted(order) == list(range(length))
    for end in range(1, length + 1):
        gaps = np.diff(sorted([*order[:end], length + order[0]]))
        assert gaps.max() <= 4 * length / end + 2
