"""Images of maps: colors that mean what the legend and the bar beside them say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data.sample import Batch, Meta
from sapiens_lab.tasks.depth import DepthPrediction
from sapiens_lab.tasks.segmentation import PartPrediction
from sapiens_lab.visualize import maps
from sapiens_lab.visualize.legend import class_legend, color_bar
from sapiens_lab.visualize.maps import (
    DepthView,
    PartsView,
    color_depth,
    color_normal,
    color_parts,
    reference_sphere,
)

SIZE = (256, 192)  # as high as views draw, so that nothing is resized


def test_parts_wear_their_colors_and_ignored_pixels_are_white() -> None:
    parts = Parts.load("goliath28")
    image = color_parts(np.array([[0, 5, 255]], np.uint8), parts)
    assert image[0, 1].tolist() == parts.colors[5].tolist()
    assert image[0, 2].tolist() == [255, 255, 255]


def test_near_is_bright() -> None:
    depth = np.linspace(1, 2, 100).reshape(1, 100)
    image = color_depth(depth, np.arange(100).reshape(1, 100) < 90).astype(int)
    brightness = image.sum(-1)[0]
    assert brightness[0] > brightness[45] > brightness[89]
    assert image[0, 95].tolist() == [100, 100, 100]
    assert color_depth(depth, np.zeros((1, 100), np.bool_)).min() == 100


def test_a_surface_that_faces_the_camera_is_light_blue() -> None:
    toward = np.array([[[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]])  # also right, up
    image = color_normal(toward, np.ones((1, 3), np.bool_))[0].tolist()
    assert image == [[127, 127, 255], [255, 127, 127], [127, 255, 127]]
    ball, inside = reference_sphere(41)
    assert ball[20, 20, 2] > 250
    assert ball[20, 39, 0] > 230  # its right side points right
    assert ball[2, 20, 1] > 230  # its top points up
    assert not inside[0, 0]


def batch(**maps: torch.Tensor) -> Batch:
    height, width = SIZE
    meta = Meta(id=0, image_id=0, path="", size=SIZE, bbox=np.zeros(4, np.float32))
    return Batch(
        image=torch.zeros((1, 3, height, width), dtype=torch.uint8), meta=[meta], tensors=maps
    )


def slope(low: float, high: float) -> torch.Tensor:
    """Return depth ``(H, W)`` that grows from the left to the right."""
    return torch.linspace(low, high, SIZE[1]).repeat(SIZE[0], 1)


def depth_batch(low: float, high: float) -> Batch:
    depth = slope(low, high)[None, None]
    return batch(depth=depth, depth_valid=torch.ones_like(depth, dtype=torch.bool))


def captions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that receives every caption."""
    written: list[str] = []
    monkeypatch.setattr(maps, "add_caption", lambda image, text: (written.append(text), image)[1])
    return written


def test_metric_depth_is_drawn_in_the_range_of_the_ground_truth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = captions(monkeypatch)
    view = DepthView(kind="metric")
    true = depth_batch(2.0, 3.0)
    target = view.target(true, 0)
    same = view.prediction(true, 0, DepthPrediction(depth=slope(2.0, 3.0)))
    np.testing.assert_array_equal(same, target)
    assert not written
    flat = view.prediction(true, 0, DepthPrediction(depth=slope(2.5, 2.5)))
    column = target[:, SIZE[1] // 2].astype(int)  # where the ground truth is 2.5 m as well
    assert np.abs(flat[:, SIZE[1] // 4] - column).max() <= 3
    far = view.prediction(true, 0, DepthPrediction(depth=slope(3.5, 4.5)))
    assert far[:, : SIZE[1]].max() <= 4  # all as dark as the far end, not stretched
    assert written == ["100% outside the bar's range"]


def test_relative_depth_is_drawn_from_0_to_1(monkeypatch: pytest.MonkeyPatch) -> None:
    written = captions(monkeypatch)
    view = DepthView(kind="relative")
    true = depth_batch(2.0, 6.0)
    same = view.prediction(true, 0, DepthPrediction(depth=slope(0.0, 1.0)))
    assert np.abs(same.astype(int) - view.target(true, 0)).max() <= 2
    half = view.prediction(true, 0, DepthPrediction(depth=slope(0.0, 0.5)))
    edge = view.target(true, 0)[:, SIZE[1] // 2].astype(int)
    assert np.abs(half[:, SIZE[1] - 1] - edge).max() <= 6
    assert not written


def test_the_bar_says_meters_or_near_and_far(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[Sequence[str]] = []
    bar = maps.color_bar

    def noted(colors: np.ndarray, texts: Sequence[str], height: int) -> np.ndarray:
        labels.append(texts)
        return bar(colors, texts, height)

    monkeypatch.setattr(maps, "color_bar", noted)
    DepthView(kind="metric").target(depth_batch(2.0, 2.0), 0)
    DepthView(kind="relative").target(depth_batch(2.0, 6.0), 0)
    assert labels == [["2.00 m"] * 5, ["0 near", "0.5", "1 far"]]
    with pytest.raises(ValueError, match="choose relative or metric"):
        DepthView(kind="meters")  # type: ignore[arg-type]


def test_depth_that_is_nowhere_known_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    written = captions(monkeypatch)
    depth = slope(1.0, 2.0)[None, None]
    unknown = batch(depth=depth, depth_valid=torch.zeros_like(depth, dtype=torch.bool))
    for kind in ("metric", "relative"):
        view = DepthView(kind=kind)  # type: ignore[arg-type]
        view.target(unknown, 0)
        view.prediction(unknown, 0, DepthPrediction(depth=slope(1.0, 2.0)))
    assert written == ["no pixel with a known depth"] * 4


def test_a_bar_runs_from_the_first_color_to_the_last() -> None:
    colors = np.stack([np.arange(256)] * 3, -1).astype(np.uint8)
    panel = color_bar(colors, ["a", "b"], 120)
    bar = panel[:, 10, 0].astype(int)
    assert bar[11] == 0
    assert bar[108] == 255
    assert (np.diff(bar[11:109]) >= 0).all()


def test_the_legend_lists_the_classes_of_ground_truth_and_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = Parts.load("goliath28")
    listed: list[dict[str, tuple[int, int, int]]] = []
    legend = maps.class_legend

    def noted(
        names: list[str],
        colors: list[tuple[int, int, int]],
        height: int,
        *,
        all_names: Sequence[str],
    ) -> np.ndarray:
        listed.append(dict(zip(names, colors, strict=True)))
        return legend(names, colors, height, all_names=all_names)

    monkeypatch.setattr(maps, "class_legend", noted)
    labels = torch.zeros((1, *SIZE), dtype=torch.uint8)
    labels[0, 0, 0], labels[0, 0, 1] = 3, 255
    predicted = torch.zeros(SIZE, dtype=torch.uint8)
    predicted[5] = 5
    view = PartsView(parts="goliath28")
    true = batch(labels=labels)
    assert view.target(true, 0).shape[1] > SIZE[1]
    view.prediction(true, 0, PartPrediction(labels=predicted))
    hair, hand = (tuple(parts.colors[i].tolist()) for i in (3, 5))
    assert listed == [
        {"Hair": hair, "ignored": (255, 255, 255)},
        {"Hair": hair, "Left_Hand": hand, "ignored": (255, 255, 255)},
    ]


@pytest.mark.parametrize("count", [0, 1, 27, 60])
def test_every_square_of_a_legend_has_its_color(count: int) -> None:
    colors = [(i, 200, 100) for i in range(count)]
    panel = class_legend([f"name {i}" for i in range(count)], colors, 256)
    assert panel.shape[0] == 256
    found = {tuple(c) for c in panel.reshape(-1, 3).tolist()}
    assert set(colors) <= found
    assert (panel[:, -2:] == 255).all()  # no name is cut off


def test_legends_of_one_list_are_equally_wide() -> None:
    names = ("a", "a much longer name")
    panels = [class_legend([name], [(9, 9, 9)], 256, all_names=names) for name in names]
    assert panels[0].shape == panels[1].shape
