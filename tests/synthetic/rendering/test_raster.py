"""The rasterizer: known triangles, cuts, culling, and equality of the two back ends."""

from __future__ import annotations

import numpy as np
import pytest

from sapiens_lab.synthetic import render_scene
from sapiens_lab.synthetic.rendering.raster import Fragments, default_backend, rasterize

CORNERS = np.array([[-0.5, -0.5], [-0.5, 7.5], [7.5, -0.5]], np.float32)


def draw(z: float = 2.0, **changes: object) -> Fragments:
    arguments: dict[str, object] = {
        "cut": np.ones(3, np.float32),
        "cull": np.zeros(1, bool),
        "backend": "numpy",
        **changes,
    }
    return rasterize(
        CORNERS,
        np.full(3, z, np.float32),
        np.array([[0, 1, 2]]),
        (8, 8),
        **arguments,  # type: ignore[arg-type]
    )


def test_half_a_square_is_covered_from_pixel_center_to_pixel_center() -> None:
    y, x = np.mgrid[:8, :8]
    seen = draw()
    np.testing.assert_array_equal(seen.triangle == 0, x + y <= 7)
    np.testing.assert_allclose(seen.depth[seen.triangle == 0], 2)
    np.testing.assert_allclose(seen.weights[0, 0], [14 / 16, 1 / 16, 1 / 16], atol=1e-6)


def test_fragments_below_the_cut_are_dropped_along_a_straight_line() -> None:
    cut = np.array([-1, -1, 3], np.float32)  # zero a quarter of the way: x = 1.5
    seen = draw(cut=cut)
    assert not (seen.triangle[:, :2] == 0).any()
    assert (seen.triangle[:4, 2] == 0).all()


def test_backs_are_culled_and_a_flipping_camera_exchanges_them() -> None:
    cull = np.ones(1, bool)
    assert (draw(cull=cull).triangle == 0).any() != (
        draw(cull=cull, flipped=True).triangle == 0
    ).any()
    assert not (draw(z=0.001).triangle == 0).any()  # nearer than the near plane


@pytest.mark.parametrize("seed", [1, 6])
def test_numpy_and_numba_see_the_same(seed: int) -> None:
    pytest.importorskip("numba")
    a, b = (render_scene(seed, image_size=(128, 96), backend=name) for name in ("numpy", "numba"))
    for name in ("parts", "depth", "normal", "visible", "rgb"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_the_back_end_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAPIENS_LAB_RASTER", "numpy")
    assert default_backend() == "numpy"
    monkeypatch.setenv("SAPIENS_LAB_RASTER", "opengl")
    with pytest.raises(ValueError, match="numpy"):
        default_backend()
