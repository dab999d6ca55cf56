"""One way to draw cameras, around people and around scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sapiens_lab.synthetic.rendering.orbit import AROUND, USUAL, Orbit

BOX = np.array([[x, y, z] for x in (-0.3, 0.3) for y in (0, 1.7) for z in (-0.2, 0.2)], np.float32)
SIZE = (128, 96)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_range_changes_only_what_it_is_about() -> None:
    usual, _ = USUAL.sample(rng(), BOX, SIZE)
    rolled, drawn = replace(USUAL, roll_deg=(90, 90)).sample(rng(), BOX, SIZE)
    np.testing.assert_array_equal(usual.R[2], rolled.R[2])  # the same line of sight
    assert usual.K[0, 0] == rolled.K[0, 0]
    assert set(drawn) == {"roll_deg", "distance_m"}
    assert drawn["roll_deg"] == 90
    down, sight = np.array([0.0, -1.0, 0.0]), rolled.R[2]
    upright = down - (down @ sight) * sight  # the image's down if the camera were not rolled
    np.testing.assert_allclose(abs(rolled.R[0] @ upright), np.linalg.norm(upright), rtol=1e-6)


def test_usual_cameras_are_off_center_and_those_around_a_scan_are_not() -> None:
    center = (np.array(SIZE[::-1]) - 1) / 2
    for seed in range(8):
        camera, _ = AROUND.sample(rng(seed), BOX, SIZE)
        np.testing.assert_array_equal(camera.K[:2, 2], center)
        xy, _ = camera.project(BOX)
        np.testing.assert_allclose((xy.min(0) + xy.max(0)) / 2, center, atol=1)
    principal = [USUAL.sample(rng(seed), BOX, SIZE)[0].K[:2, 2] for seed in range(8)]
    assert np.ptp(np.array(principal), axis=0).min() > 1


@pytest.mark.parametrize("orbit", [AROUND, USUAL], ids=["around", "usual"])
def test_targets_fill_the_fraction_that_was_drawn(orbit: Orbit) -> None:
    for seed in range(8):
        camera, drawn = replace(orbit, fill=(0.7, 0.7)).sample(rng(seed), BOX, SIZE)
        xy, z = camera.project(BOX)
        assert z.min() > 0.34
        filled = float((np.ptp(xy, axis=0) / SIZE[::-1]).max())
        assert filled == pytest.approx(0.7, abs=0.02)
        assert drawn["fill"] == 0.7


def test_the_view_is_the_same_at_every_size() -> None:
    small, large = (USUAL.sample(rng(3), BOX, (h, h * 3 // 4))[0] for h in (96, 192))
    np.testing.assert_array_equal(small.R, large.R)
    np.testing.assert_allclose(small.t, large.t, rtol=1e-6)
    np.testing.assert_allclose(2 * small.K[:2, :2], large.K[:2, :2])


def test_impossible_orbits_are_refused() -> None:
    with pytest.raises(ValueError, match="fov_deg 60 20: give the lower end first"):
        Orbit(fov_deg=(60, 20))
    with pytest.raises(ValueError, match=r"elevation .* between -89 and 89"):
        Orbit(elevation_deg=(0, 90))


@pytest.mark.parametrize(
    ("orbit", "K", "place"),
    [
        (USUAL, (143.9586, 37.8092, 61.2528), (-2.01123, 1.80518, -0.84451)),
        (AROUND, (387.0790, 47.5, 63.5), (4.46203, 0.97411, 3.82858)),
    ],
    ids=["usual", "around"],
)
def test_a_seed_gives_the_camera_that_it_has_always_given(
    orbit: Orbit, K: tuple[float, ...], place: tuple[float, ...]
) -> None:
    """If not, cached and written scenes become others: raise the renderer's VERSION."""
    camera, _ = orbit.sample(rng(0), BOX, SIZE)
    np.testing.assert_allclose(camera.K[[0, 0, 1], [0, 2, 2]], K, rtol=1e-5)
    np.testing.assert_allclose(camera.center, place, rtol=1e-4)
