"""What smells in data, planted into good datasets of two cameras, training and validation.

Each would train without an error, and is found only when many samples are looked at together.
``test_smells.py`` asserts that each is named, with the samples or the folder, and a remedy.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sapiens_lab.anatomy.skeleton import Skeleton
from tests.data.checks import faults, worlds

Plant = Callable[[Path], None]

NUM = {"train": 24, "val": 8}  # maps; the first half of each is of camera 1
NUM_PEOPLE = 60
KEYPOINTS = list(Skeleton.load("coco17").keypoints)


@dataclass(frozen=True)
class Smell:
    kind: str  # of the dataset
    name: str
    plant: Plant
    said: str  # what the finding says, as a regular expression


# ---- maps --------------------------------------------------------------------------------------


def write_maps(root: Path, kind: str) -> None:
    """Write two splits of images, masks and maps, each of two cameras."""
    worlds_of = {"labels": worlds.labels_of, "depths": worlds.depth_of}
    offset = 0
    for split, num in NUM.items():
        for folder in ("images", kind, *(() if kind == "labels" else ("masks",))):
            (root / folder / split).mkdir(parents=True)
        for i in range(num):
            number = offset + i
            mask, normal = worlds.body(number)
            name = f"cam{1 + 2 * i // num}_{number:03}"
            cv2.imwrite(str(root / f"images/{split}/{name}.png"), backdrop(number, mask))
            values = worlds_of[kind](number) if kind in worlds_of else normal
            if kind == "labels":
                cv2.imwrite(str(root / f"labels/{split}/{name}.png"), values)
                continue
            if kind == "depths":  # not all at one distance
                values = np.where(values > 0, values + 0.3 * (number % 5), 0).astype(np.float32)
            cv2.imwrite(str(root / f"masks/{split}/{name}.png"), mask.astype(np.uint8) * 255)
            np.save(root / f"{kind}/{split}/{name}.npy", values)
        offset += num
    (root / "parts.yaml").write_text(
        "name: clothes\nclasses: [background, trousers, shirt, head]\n"
    )


def backdrop(i: int, mask: np.ndarray) -> np.ndarray:
    """Return an image in which every scene has a backdrop of its own."""
    rng = np.random.default_rng(300 + i)
    blocks = rng.integers(20, 90, (6, 5, 3)).astype(np.uint8)
    pixels = cv2.resize(blocks, mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    pixels[mask] = worlds.image_of(i, mask)[mask]
    return pixels


def of_camera(folder: str, change: Callable[[Path], Any], camera: int = 2) -> Plant:
    """Change the files of one camera in the training set."""

    def plant(root: Path) -> None:
        for path in sorted((root / folder / "train").glob(f"cam{camera}_*")):
            change(path)

    return plant


def single(folder: str, change: Callable[[Path], Any]) -> Plant:
    return lambda root: change(sorted((root / folder / "train").iterdir())[5])


def of_next(folder: str, *, camera: str = "cam*") -> Plant:
    """Give every sample of a camera the file of the next."""

    def plant(root: Path) -> None:
        paths = sorted((root / folder / "train").glob(f"{camera}_*"))
        contents = [path.read_bytes() for path in paths]
        for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
            path.write_bytes(content)

    return plant


def copied(change: Callable[[np.ndarray], np.ndarray] | None, *, into: str, num: int = 2) -> Plant:
    """Put training images, changed, in the place of others."""

    def plant(root: Path) -> None:
        sources = sorted((root / "images/train").iterdir())[:num]
        targets = sorted((root / "images" / into).iterdir())[-num:]
        for source, target in zip(sources, targets, strict=True):
            if change is None:
                shutil.copy(source, target)
            else:
                cv2.imwrite(str(target), change(cv2.imread(str(source))))

    return plant


def again(pixels: np.ndarray) -> np.ndarray:
    """Save an image as JPEG."""
    content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
    decoded: np.ndarray = cv2.imdecode(content, cv2.IMREAD_COLOR)
    return decoded


def resized(pixels: np.ndarray) -> np.ndarray:
    small = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    enlarged: np.ndarray = cv2.resize(small, pixels.shape[1::-1])
    return enlarged


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "saved again": again,
    "resized": resized,
    "brighter": lambda a: cv2.convertScaleAbs(a, alpha=1.1, beta=8),
    "flipped": lambda a: a[:, ::-1].copy(),
    "next frames": lambda a: np.roll(a, 1, 1),
}


def image(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: cv2.imwrite(str(path), change(cv2.imread(str(path)))) and None


def thumbnail(root: Path) -> None:
    for folder in ("images", "labels"):
        path = sorted((root / folder / "train").iterdir())[5]
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=0))


def without_class(split: str, class_id: int) -> Plant:
    def plant(root: Path) -> None:
        for path in (root / "labels" / split).iterdir():
            ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            cv2.imwrite(str(path), np.where(ids == class_id, 0, ids))

    return plant


def map_smells() -> Iterator[Smell]:
    near = r"of 8 validation images looked into are nearly a training image's twin"
    yield Smell("labels", "copies", copied(None, into="val"), "2 .*copies of training images")
    for name, change in COPIES.items():
        yield Smell("labels", f"{name} in val", copied(change, into="val"), f"2 {near}")
    yield Smell(
        "labels", "twice in train", copied(again, into="train"), "2 of 24 .* more than once"
    )
    for name in ("flipped", "of the next sample"):
        plant = of_camera("labels", faults.array(faults.LABELS["flipped"]))
        plant = plant if name == "flipped" else of_next("labels", camera="cam2")
        said = "when they are flipped" if name == "flipped" else "sample before better"
        yield Smell("labels", f"{name}, one camera", plant, rf"cam2.*{said}")
    for name, said in {
        "shifted up": "cam2.*background, most are 'trousers'",
        "zero taken off": r"cam2.*\d+% of the pixels are ignored",
        "softened": r"12 of 24 label maps change from id to id",
        "ignored": r"12 of 24 label maps are ignored whole",
        "background": "cam2.*hold 'background' alone",
    }.items():
        yield Smell(
            "labels",
            f"{name}, one camera",
            of_camera("labels", faults.array(faults.LABELS[name])),
            said,
        )
    yield Smell("labels", "no head in val", without_class("val", 3), "1 of 4 classes.*validation")
    yield Smell("labels", "no head in train", without_class("train", 3), "1 of 4.*are validated")
    exposures = {"dark": lambda a: a // 4, "bright": lambda a: 255 - (255 - a) // 3}
    for name, tone in exposures.items():
        yield Smell("labels", f"{name}, one camera", of_camera("images", image(tone)), "exposure")
    gray = image(lambda a: np.dstack([a.mean(-1).astype(np.uint8)] * 3))
    yield Smell("labels", "gray images", of_next_two(gray), "2 of 24 images are gray")
    yield Smell("labels", "a thumbnail", thumbnail, r"1 of 24 images are much smaller")
    for name, said in {
        "in millimeters": "not those of people|another unit",
        "inverse": "larger where the person is nearer",
        "constant": r"12 of 24 maps have the same depth",
        "flipped": "flipped|beside their masks",
    }.items():
        change = faults.array(faults.DEPTHS[name])
        yield Smell("depths", f"{name}, one camera", of_camera("depths", change), said)
    seven = faults.array(lambda a: a * 7)
    yield Smell("depths", "one map on another scale", single("depths", seven), "1 of 24 .* scale")
    yield Smell(
        "depths",
        "one camera on another scale",
        of_camera("depths", seven),
        "cam2.*scale|scale.*cam2",
    )
    yield Smell(
        "depths", "of the next sample", of_next("depths", camera="cam2"), "beside their masks"
    )
    for name in ("red flipped", "green flipped", "blue flipped", "of OpenGL", "x and y exchanged"):
        change = faults.array(faults.NORMALS[name])
        yield Smell("normals", f"{name}, one camera", of_camera("normals", change), "cam2|frame")
    half = faults.array(faults.NORMALS["half as long"])
    yield Smell("normals", "half as long, one", single("normals", half), "not of unit length")


def of_next_two(change: Callable[[Path], Any]) -> Plant:
    def plant(root: Path) -> None:
        for path in sorted((root / "images/train").iterdir())[3:5]:
            change(path)

    return plant


# ---- people ------------------------------------------------------------------------------------


def write_people(root: Path) -> None:
    """Write annotations of 60 people, one an image, of which some are partly hidden."""
    root.mkdir(parents=True)
    height, width = worlds.PERSON
    content: dict[str, Any] = {
        "images": [
            {"id": i + 1, "file_name": f"p{i:02}.jpg", "height": height, "width": width}
            for i in range(NUM_PEOPLE)
        ],
        "annotations": [worlds.person(i) for i in range(NUM_PEOPLE)],
        "categories": [{"id": 1, "name": "person"}],
    }
    rng = np.random.default_rng(7)
    for annotation in content["annotations"]:
        flags = rng.choice([0, 1, 2], len(KEYPOINTS), p=[0.05, 0.1, 0.85])
        points = np.array(annotation["keypoints"]).reshape(-1, 3)
        points[:, 2] = flags
        annotation["keypoints"] = (points * (flags > 0)[:, None]).ravel().tolist()
    for i in range(NUM_PEOPLE):
        pixels = np.random.default_rng(i).integers(0, 255, (6, 8, 3)).astype(np.uint8)
        cv2.imwrite(str(root / f"p{i:02}.jpg"), cv2.resize(pixels, (width, height)))
    (root / "annotations.json").write_text(json.dumps(content))


def exchanged(*names: str) -> Callable[[np.ndarray], np.ndarray]:
    """Exchange left and right of some keypoints."""

    def apply(points: np.ndarray) -> np.ndarray:
        order = np.arange(len(KEYPOINTS))
        for name in names:
            left, right = (KEYPOINTS.index(f"{side}_{name}") for side in ("left", "right"))
            order[[left, right]] = right, left
        changed: np.ndarray = points[order]
        return changed

    return apply


def of_images_flipped(points: np.ndarray) -> np.ndarray:
    """Flip the points as if their image was, without exchanging left and right."""
    labeled = points[:, 2:] > 0
    flipped = np.concatenate([worlds.PERSON[1] - 1 - points[:, :1], points[:, 1:]], 1)
    return np.where(labeled, flipped, 0)


def flip_person(annotation: dict[str, Any]) -> None:
    faults.points(of_images_flipped)(annotation)
    x, y, w, h = annotation["bbox"]
    annotation["bbox"] = [worlds.PERSON[1] - x - w, y, w, h]


def people_smells() -> Iterator[Smell]:
    def some(change: Callable[[dict[str, Any]], Any], every: int = 1) -> Plant:
        return faults.per_annotation(change, list(range(0, NUM_PEOPLE, every)))

    legs, arms = ("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")
    face = ("eye", "ear")
    yield Smell(
        "people", "boxes of whole images",
        some(faults.box(lambda *_: [0, 0, worlds.PERSON[1], worlds.PERSON[0]]), 1),
        "box|loose",
    )  # fmt: skip
    large = faults.box(lambda x, y, w, h: [x - 2 * w, y - 2 * h, 5 * w, 5 * h])
    yield Smell("people", "some boxes far larger", some(large, 6), "10 of 60 .* far larger")
    small = faults.box(lambda x, y, w, h: [x + w / 5, y + h / 5, w * 0.6, h * 0.6])
    yield Smell("people", "points outside", some(small, 4), "15 of 60 .* outside of their box")
    visible = faults.points(lambda p: np.where(p[:, 2:] > 0, p * [1, 1, 0] + [0, 0, 2], p))
    yield Smell("people", "all visible", some(visible), "all .* flagged 2, visible")
    occluded = faults.points(lambda p: np.where(p[:, 2:] > 0, p * [1, 1, 0] + [0, 0, 1], p))
    yield Smell("people", "all occluded", some(occluded), "all .* flagged 1, occluded")
    everything = faults.points(exchanged(*legs, *arms, *face))
    yield Smell("people", "sides exchanged", some(everything), "the wrong way round")
    yield Smell(
        "people",
        "sides exchanged, some",
        some(everything, 6),
        r"\d of 60 .* the wrong way round: id 1 ",
    )
    yield Smell("people", "flipped, some", some(flip_person, 6), "the wrong way round")
    yield Smell("people", "legs exchanged", some(faults.points(exchanged(*legs))), "on the side of")
    yield Smell(
        "people", "arms exchanged, some", some(faults.points(exchanged(*arms)), 4), "on the side of"
    )
    order = np.random.default_rng(0).permutation(len(KEYPOINTS))
    yield Smell("people", "another order", some(faults.points(lambda p: p[order])), "another order")
    ear = KEYPOINTS.index("left_ear")
    without = faults.points(lambda p: np.where(np.arange(len(p))[:, None] == ear, 0, p))
    yield Smell("people", "no left ear", some(without), "1 of 17 .*left_ear .nowhere")


def all_smells() -> list[Smell]:
    return [*map_smells(), *people_smells()]
