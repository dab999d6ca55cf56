"""``Predictor``: what it takes, what it gives, and what it says of mistakes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import sapiens_lab
from sapiens_lab.data.images import CorruptImageError, read_image
from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.frames import memory_frame
from sapiens_lab.inference.loading import load_network
from sapiens_lab.inference.pipeline import Pipeline
from sapiens_lab.inference.predictor import Predictor
from sapiens_lab.inference.results.depth import DepthResult
from sapiens_lab.inference.results.parts import PartResult
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.weights.model import save_model
from tests.weights.test_load import made, official


@pytest.fixture(scope="module")
def parts(weights: dict[str, Path]) -> Predictor:
    return Predictor.from_pretrained(weights["segmentation"], device="cpu")


def test_one_image_in_every_form_gives_the_same_result(parts: Predictor, photos: Path) -> None:
    path = photos / "b.png"
    pixels = read_image(path)
    result = parts(path)
    assert isinstance(result, PartResult)
    assert result.labels.shape == pixels.shape[:2]
    assert len(np.unique(result.labels)) > 2
    for same in (str(path), pixels, Image.open(path), pixels[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(parts(same).labels, result.labels)
    assert "segmentation" in repr(parts)
    assert sapiens_lab.Predictor is Predictor


def test_many_images_are_an_iterator_of_any_sizes(parts: Predictor, photos: Path) -> None:
    paths = sorted(photos.rglob("*.*"))
    images = [read_image(path) for path in paths]
    alone = [parts(image).labels for image in images]
    for many in (photos, str(photos / "**/*.*"), paths, images):
        results = parts(many)
        assert iter(results) is results
        found = list(results)
        assert len(found) == 4
        if many is not photos and not isinstance(many, str):
            for one, other in zip(found, alone, strict=True):
                np.testing.assert_array_equal(one.labels, other)
    (listed := photos / "list.txt").write_text("a.jpg\n\nday/c.jpg\n")
    assert [Path(r.path).name for r in parts(listed)] == ["a.jpg", "c.jpg"]


def test_nothing_is_read_before_its_turn(parts: Predictor) -> None:
    """An endless source is predicted as it comes, in bounded memory."""
    taken = []

    def endless():  # type: ignore[no-untyped-def]
        while True:
            taken.append(1)
            yield np.zeros((8, 8, 3), np.uint8)

    results = parts(endless())
    assert not taken
    for _ in range(3):
        next(results)
    assert len(taken) < 30
    results.close()


def test_a_damaged_image_is_an_error_that_names_it(parts: Predictor, photos: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"not an image")
    with pytest.raises(CorruptImageError, match=r"bad\.jpg is damaged or not an image"):
        parts(photos / "bad.jpg")
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        parts("gone.jpg")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 20, 30), np.uint8), "the channels, red, green and blue, come last"),
        (np.zeros((20, 30, 3)), r"\(20, 30, 3\) of float64; an image is"),
        (np.zeros((0, 30, 3), np.uint8), "an image is"),
        (np.zeros((9000, 9000), np.uint8), "more than 67,108,864"),
        (7, "a int is no image"),
    ],
)
def test_what_is_no_image_is_refused(parts: Predictor, image: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(parts(image))


def test_people_are_looked_at_one_by_one(weights: dict[str, Path], photos: Path) -> None:
    predictor = Predictor.from_pretrained(weights["pose"], device="cpu")
    image = read_image(photos / "a.jpg")
    boxes = np.array([[5, 5, 30, 35], [10, 2, 40, 30]])
    both = predictor(image, boxes=boxes)
    assert isinstance(both, PoseResult)
    assert both.keypoints.shape == (2, 17, 2)
    np.testing.assert_array_equal(both.boxes.xyxy, boxes)
    second = predictor(image, boxes=boxes[1])
    np.testing.assert_allclose(second.keypoints[0], both.keypoints[1], atol=1e-3)
    assert len(predictor(image, boxes=[])) == 0
    found = list(predictor([image, image], boxes=[boxes, boxes[:1]]))
    assert [len(result) for result in found] == [2, 1]
    with pytest.raises(ValueError, match="1 sets of boxes for 2 images"):
        list(predictor([image, image], boxes=[boxes]))


def test_a_detector_serves_all_networks_and_is_asked_once(
    weights: dict[str, Path], photos: Path
) -> None:
    asked = []

    def detect(image: np.ndarray, name: str) -> Boxes:
        asked.append(name)
        return Boxes.of([[0, 0, 20, 20], [10, 10, 30, 30]])

    sources = [weights["pose"], weights["segmentation"]]
    predictor = Predictor.from_pretrained(sources, device="cpu", detector=detect)
    (result,) = predictor([photos / "a.jpg"])
    assert list(result) == ["pose", "segmentation"]
    assert len(result["pose"]) == 2
    assert len(asked) == 1


def test_an_image_as_one_person_is_said_once(
    weights: dict[str, Path], photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = Predictor.from_pretrained(weights["pose"], device="cpu")
    for _ in range(2):
        predictor(photos / "a.jpg")
    assert caplog.text.count("each image is taken as one person") == 1


def test_two_weights_for_one_task_are_refused(weights: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="all answer segmentation"):
        Predictor.from_pretrained([weights["segmentation"], weights["all"]])
    with pytest.raises(ValueError, match="is a model for pose, not for depth"):
        Predictor.from_pretrained(weights["pose"], task="depth")
    with pytest.raises(ValueError, match="no weights"):
        Predictor.from_pretrained([])


def test_several_tasks_know_the_person(weights: dict[str, Path], photos: Path) -> None:
    result = Predictor.from_pretrained(weights["all"], device="cpu")(photos / "a.jpg")
    labels, depth = result["segmentation"].labels, result["depth"]
    assert isinstance(depth, DepthResult)
    np.testing.assert_array_equal(depth.person, labels > 0)
    assert (depth.overlay()[labels == 0] == 100).all()


def test_official_files_are_predicted_as_officially(tmp_path: Path) -> None:
    path = tmp_path / "official.pth"
    torch.save(official(made(17, width=16)), path)
    with pytest.raises(ValueError, match="num_heads"):
        Predictor.from_pretrained(path)  # a width that was never released
    save_model(made(17), tmp_path / "export", task={"name": "pretrain"})
    with pytest.raises(ValueError, match="reconstruct"):
        Predictor.from_pretrained(tmp_path / "export")
    save_model(made(17), tmp_path / "export", task={"name": "pose"})
    with pytest.raises(ValueError, match="does not say how images are cropped"):
        Predictor.from_pretrained(tmp_path / "export")


class Greedy(nn.Module):
    """A model for which more than two images are too many."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.sizes = inner, []  # type: ignore[var-annotated]

    def forward(self, image: Tensor) -> Tensor:
        if len(image) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.sizes.append(len(image))
        return self.inner(image)  # type: ignore[no-any-return]


def test_a_batch_that_does_not_fit_is_halved_once(
    weights: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    network = load_network(weights["segmentation"], device="cpu")
    greedy = Greedy(network.model)
    network.model = greedy  # type: ignore[assignment]
    frames = [memory_frame(np.full((9, 9, 3), i, np.uint8), str(i)) for i in range(10)]
    pipeline = Pipeline([network], detector=None, batch_size=5, num_threads=0)
    outcomes = list(pipeline.run(frames, lambda frame, results: results[0].path))
    assert [outcome.value for outcome in outcomes] == [str(i) for i in range(10)]
    assert greedy.sizes == [2, 2, 1, 2, 2, 1]
    assert caplog.text.count("do not fit into the memory") == 1


@pytest.mark.parametrize("num_threads", [0, 2])
def test_results_come_in_order_and_errors_stay_with_their_image(
    weights: dict[str, Path], num_threads: int
) -> None:
    network = load_network(weights["segmentation"], device="cpu")
    frames = [memory_frame(np.full((9, 9, 3), i, np.uint8), str(i)) for i in range(9)]

    def finish(frame: object, results: list[object]) -> str:
        name = results[0].path  # type: ignore[attr-defined]
        if name in "37":
            raise ValueError(f"no {name}")
        return str(name)

    pipeline = Pipeline([network], detector=None, batch_size=2, num_threads=num_threads)
    outcomes = list(pipeline.run(frames, finish))
    assert [o.value for o in outcomes] == [None if c in "37" else c for c in "012345678"]
    assert str(outcomes[3].error) == "no 3"
    assert "the bottleneck is" in pipeline.stages.summary()


def test_half_precision_is_close(weights: dict[str, Path], photos: Path) -> None:
    full = Predictor.from_pretrained(weights["segmentation"], device="cpu")(photos / "a.jpg")
    half = Predictor.from_pretrained(weights["segmentation"], device="cpu", dtype=torch.bfloat16)(
        photos / "a.jpg"
    )
    assert half.labels.dtype == np.uint8
    assert (half.labels == full.labels).mean() > 0.9


def test_logging_is_quiet(weights: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Predictor.from_pretrained(weights["all"], device="cpu")
    assert not caplog.records


def test_boxes_for_weights_that_look_at_whole_images(
    weights: dict[str, Path], photos: Path, caplog: pytest.LogCaptureFixture, parts: Predictor
) -> None:
    with pytest.raises(ValueError, match="look at whole images; leave the boxes out"):
        parts(photos / "a.jpg", boxes=[[0, 0, 9, 9]])

    def detect(image: np.ndarray, name: str) -> Boxes:
        raise AssertionError("it is not asked")

    predictor = Predictor.from_pretrained(weights["all"], device="cpu", detector=detect)
    predictor(photos / "a.jpg")
    assert "boxes and detector are not used" in caplog.text
    assert "give one person in it" in caplog.text
