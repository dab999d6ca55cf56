"""What odd files mean, and what messages advise: followed, the advice gives the right values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks import finding
from sapiens_lab.data.checks.keypoints import percent_finding
from sapiens_lab.data.datasets.coco_parts import CocoParts
from sapiens_lab.data.datasets.coco_pose import CocoPose
from sapiens_lab.data.datasets.depth_maps import DepthMaps
from sapiens_lab.data.datasets.normal_maps import NormalMaps
from sapiens_lab.data.datasets.part_masks import PartMasks
from sapiens_lab.data.fields import Image as ImageField
from sapiens_lab.data.fields import Keypoints
from sapiens_lab.data.images import read_image
from sapiens_lab.data.sample import Meta, Sample
from sapiens_lab.data.transforms import RequireKeypoints
from tests.data.checks import faults, worlds


@pytest.fixture(autouse=True)
def nothing_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_logged", set())


@pytest.fixture
def people(tmp_path: Path) -> Path:
    worlds.write_people(tmp_path / "people")
    return tmp_path / "people"


def pose(root: Path, **options: Any) -> CocoPose:
    given = {"split": "train", "skeleton": "coco17", "val_fraction": None, **options}
    return CocoPose(root, **given)


def change(root: Path, apply: Any) -> None:
    faults.edit(lambda content: apply(content) and None)(root)


def message(root: Path, apply: Any) -> str:
    change(root, apply)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        pose(root)
    return str(caught.value)


# ---- people ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["C:\\Users\\ada\\NAME.jpg", "/data/local-files/?d=upload/NAME.jpg", "NAME.JPG", "NAME.png"],
)
def test_an_image_of_a_similar_name_is_pointed_to(people: Path, written: str) -> None:
    def rename(content: Any) -> None:
        for image in content["images"]:
            image["file_name"] = written.replace("NAME", Path(image["file_name"]).stem)

    said = message(people, rename)
    assert f"There is {people}/p0.jpg: write file_name as it is called, relative" in said
    assert "image_dir" not in said


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (
            lambda xyv: [{"x": x, "y": y, "v": v} for x, y, v in xyv],
            "17 dictionaries within a list",
        ),
        (lambda xyv: [[x, y, v] for x, y, v in xyv], "17 lists within a list"),
        (lambda xyv: [n for x, y, _ in xyv for n in (x, y)], "34 numbers; .* three for each point"),
        (lambda xyv: str(xyv), "its keypoints are str"),
    ],
)
def test_keypoints_in_another_form_are_described(people: Path, points: Any, said: str) -> None:
    def rewrite(content: Any) -> None:
        for person in content["annotations"]:
            numbers = person["keypoints"]
            person["keypoints"] = points(list(zip(*(numbers[i::3] for i in range(3)), strict=True)))

    assert re.search(said, message(people, rewrite))


def test_a_turned_image_whose_stored_size_is_stated(people: Path) -> None:
    faults.turn(people / "p3.jpg")
    with pytest.raises(ValueError, match=r"stated 120 x 160, is 160 x 120\).*1 are turned"):
        pose(people)


def test_backslashes_separate_folders(people: Path) -> None:
    (people / "images").mkdir()
    for path in people.glob("*.jpg"):
        path.rename(people / "images" / path.name)
    change(people, lambda c: [i.update(file_name="images\\" + i["file_name"]) for i in c["images"]])
    assert pose(people)[0].image.size == worlds.PERSON


def test_ids_of_two_kinds_are_said_to_be(people: Path) -> None:
    text = message(people, lambda c: [i.update(id=str(i["id"])) for i in c["images"]])
    assert "no annotation's image_id (1, a number) is among the ids of the images ('1'," in text
    assert "third number" not in text


@pytest.mark.parametrize(
    "rows",
    [
        {"image_id": 1},
        [],
        [{"image_id": 1, "bbox": [1, 2, 3, 4]}],
        [{"image_id": 1, "bbox": [1, 2, 3], "score": 1}],
        [{"image_id": 1, "bbox": [1, 2, 3, "4"], "score": 1}],
        [{"image_id": 1, "bbox": [1, 2, 3, float("nan")], "score": 1}],
        [{"bbox": [1, 2, 3, 4], "score": 1}],
        [3],
    ],
)
def test_what_is_no_detection_is_named(people: Path, rows: Any) -> None:
    (people / "boxes").mkdir()
    (people / "boxes/found.json").write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=r"found\.json: .*\{image_id, category_id, bbox"):
        pose(people, box_file="boxes/found.json")


def test_crowds_alone_are_said_to_be(people: Path) -> None:
    text = message(people, lambda c: [a.update(iscrowd=1) for a in c["annotations"]])
    assert "of 10 annotations of 10 images, 10 are crowds" in text
    assert "third number" not in text


@pytest.mark.parametrize(
    ("form", "advice"),
    [
        ("xyxy", r"\[x1, y1, x2, y2\].*Subtract the first two numbers from the last two"),
        ("center", r"\[center x, center y, width, height\].*Subtract half of the size"),
        ("yxhw", r"\[y, x, height, width\].*Exchange the numbers in pairs"),
        ("fractions", r"fractions of the image;.*Multiply by width and height"),
    ],
)
def test_boxes_in_another_form_are_told_apart(people: Path, form: str, advice: str) -> None:
    text = message(people, lambda c: [faults.BOXES[form](a) for a in c["annotations"]])
    assert re.search(rf"10 of 10 boxes.*{advice}", text)


def test_height_and_width_exchanged_are_no_corners(people: Path) -> None:
    height, width = worlds.PERSON
    swap = {"height": width, "width": height}
    text = message(people, lambda c: [i.update(swap) for i in c["images"]])
    assert "stated 160 x 120, is 120 x 160" in text
    assert "x1" not in text


def test_a_nan_names_its_annotation_and_can_be_left_out(
    people: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = message(people, lambda c: [faults.POINTS["nan"](c["annotations"][3])])
    assert "1 of 10 people have labeled keypoints that are NaN or infinite: id 4 (p3.jpg)" in text
    data = pose(people, on_error="skip")
    assert len(data) == 9
    assert "id 4 (p3.jpg)" in caplog.text
    assert len(data.ground_truth()["annotations"]) == 9


def test_a_nan_that_is_not_labeled_means_nothing(people: Path) -> None:
    def unlabel(content: dict[str, Any]) -> list[Any]:
        content["annotations"][3]["keypoints"][:3] = [float("nan"), float("nan"), 0]
        return [1]

    change(people, unlabel)
    keypoints = pose(people)[3].keypoints
    assert keypoints is not None
    assert keypoints.visible.tolist() == [0] + [2] * 16
    assert keypoints.xy[0].tolist() == [0, 0]


def test_sizes_that_are_not_stated_are_those_of_the_images(people: Path) -> None:
    def forget(content: dict[str, Any]) -> list[Any]:
        content["images"] = [
            {"id": i["id"], "file_name": i["file_name"]} for i in content["images"]
        ]
        return [1]

    change(people, forget)
    assert len(pose(people)) == worlds.NUM
    for path in people.glob("*.jpg"):
        with Image.open(path) as image:
            small = image.resize((40, 30))
        small.save(path)
    with pytest.raises(ValueError, match=r"people have keypoints far outside .*id \d+ \(p\d\.jpg"):
        pose(people)


def test_all_faults_stand_together_errors_first(people: Path) -> None:
    def spoil(content: dict[str, Any]) -> list[Any]:
        faults.BOXES["nan"](content["annotations"][0])
        faults.BOXES["flat"](content["annotations"][1])
        content["annotations"][5]["keypoints"] = content["annotations"][5]["keypoints"][:3] * 17
        return [1]

    lines = message(people, spoil).splitlines()
    assert lines[0].endswith("annotations.json: 3 faults")
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["error", "error", "warning"]


def test_a_byte_order_mark_is_no_content(people: Path) -> None:
    path = people / "annotations.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(pose(people, skeleton=str(path))) == worlds.NUM


@pytest.mark.parametrize("names", [list(range(1, 18)), None])
def test_numbered_points_train_without_flips(people: Path, names: list[int] | None) -> None:
    change(people, lambda c: [c["categories"][0].update(keypoints=names)])
    skeleton = Skeleton.load(people / "annotations.json")
    assert skeleton.keypoints == tuple(str(i) for i in range(1, 18))
    assert skeleton.flip_indices is None
    assert len(pose(people, skeleton=skeleton)) == worlds.NUM


@pytest.mark.parametrize(
    ("links", "edges"),
    [
        ([[1, 2], [9, 99]], ((0, 1),)),
        ([[1, 17], [17, 18], "x", [1]], ((0, 16),)),
        ([[0, 1], [15, 16]], ((0, 1), (15, 16))),
    ],
)
def test_links_that_lead_nowhere_are_left_out(
    people: Path, links: list[Any], edges: Any, caplog: pytest.LogCaptureFixture
) -> None:
    change(people, lambda c: [c["categories"][0].update(skeleton=links)])
    assert Skeleton.load(people / "annotations.json").edges == edges
    assert "annotations.json" in caplog.text


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_keypoints_are_enough(count: int) -> None:
    keypoints = Keypoints(
        xy=np.full((count, 2), 5, np.float32),
        visible=np.full(count, 2, np.uint8),
        flip_indices=None,
    )
    box = np.array([0, 0, 9, 9], np.float32)
    sample = Sample(
        image=ImageField(pixels=np.zeros((10, 10, 3), np.uint8)),
        bbox=box,
        meta=Meta(id=0, image_id=0, path="a", size=(10, 10), bbox=box),
        fields={"keypoints": keypoints},
    )
    assert RequireKeypoints(4)(sample, np.random.default_rng(0)) is sample


def test_a_video_behind_a_jpeg_is_not_its_content(people: Path) -> None:
    path = people / "p3.jpg"
    pixels = read_image(path)
    with path.open("ab") as file:
        file.write(b"MotionPhoto_Data\0\0\0\x18ftypmp42" + bytes(range(250)) * 240)
    np.testing.assert_array_equal(read_image(path), pixels)
    assert len(pose(people)) == worlds.NUM
    faults.cut(path, 0.05)  # within the JPEG
    with pytest.raises(ValueError, match=r"p3\.jpg is truncated"):
        read_image(path)


# ---- regions and masks -------------------------------------------------------------------------


def test_regions_of_one_id_name_both_images(tmp_path: Path) -> None:
    worlds.write_regions(tmp_path / "r")
    change(tmp_path / "r", lambda c: [c["images"][1].update(id=1)])
    with pytest.raises(ValueError, match=r"id 1 \(r0\.png and r1\.png\)"):
        CocoParts(tmp_path / "r", split="train", val_fraction=None)


def test_regions_in_pixels_have_their_areas(tmp_path: Path) -> None:
    worlds.write_regions(tmp_path / "r")
    labels = CocoParts(tmp_path / "r", split="train", val_fraction=None)[0].labels
    assert labels is not None
    assert np.bincount(labels.ids.ravel()).tolist() == [96 * 80 - 30 * 40 - 14 * 12, 1200, 168]


@pytest.mark.parametrize(
    ("explained", "person"), [("", 1), ("merge: {255: fish}\n", 1), ("ignore: [255]\n", 255)]
)
def test_255_is_the_second_of_two_classes(
    tmp_path: Path, explained: str, person: int, caplog: pytest.LogCaptureFixture
) -> None:
    worlds.write_maps(tmp_path / "m", "labels")
    faults.files("labels", faults.array(faults.LABELS["0 and 255"]), faults.AMOUNTS["all"])(
        tmp_path / "m"
    )
    parts = tmp_path / "fish.yaml"
    parts.write_text(f"name: fish\nclasses: [background, fish]\n{explained}")
    arguments = {"split": "train", "parts": str(parts), "val_fraction": None}
    if person == 255:
        with pytest.raises(ValueError, match="hold 'background' alone"):
            PartMasks(tmp_path / "m", **arguments)
        return
    labels = PartMasks(tmp_path / "m", **arguments)[0].labels
    assert labels is not None
    mask, _ = worlds.body(0)
    np.testing.assert_array_equal(labels.ids, np.where(mask, person, 0))
    assert ("255 is read as 'fish'" in caplog.text) == (not explained)


def test_a_mask_may_be_an_alpha_channel(tmp_path: Path) -> None:
    worlds.write_maps(tmp_path / "m", "depths")
    for i in range(worlds.NUM):
        mask, _ = worlds.body(i)
        pixels = np.dstack([worlds.image_of(i, mask), mask.astype(np.uint8) * 255])
        Image.fromarray(pixels).save(tmp_path / f"m/masks/m{i}.png")
    depth = DepthMaps(tmp_path / "m", split="train", kind="metric", val_fraction=None)[0].depth
    assert depth is not None
    np.testing.assert_array_equal(depth.valid, worlds.body(0)[0])


def test_files_beyond_the_sampled_ones_are_looked_at(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 80 samples 32 are read; a map cut off elsewhere, or of another size, is named too."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    ids = worlds.labels_of(0)
    for i in range(80):
        Image.fromarray(worlds.image_of(i, ids > 0)).save(tmp_path / f"images/{i:02}.png")
        Image.fromarray(ids).save(tmp_path / f"labels/{i:02}.png")
    parts = tmp_path / "parts.yaml"
    parts.write_text("name: a\nclasses: [background, trousers, shirt, head]\n")
    arguments = {"split": "train", "parts": str(parts), "val_fraction": None}
    assert len(PartMasks(tmp_path, **arguments)) == 80
    faults.cut(tmp_path / "labels/03.png", 0.7)
    Image.fromarray(ids[:-2]).save(tmp_path / "labels/08.png")
    with pytest.raises(ValueError, match=r"(?s)2 of 80 .*03\.png is truncated.*08\.png is \(94, "):
        PartMasks(tmp_path, **arguments)
    assert len(PartMasks(tmp_path, on_error="skip", **arguments)) == 80
    assert "03.png is truncated" in caplog.text


def test_an_image_of_another_size_than_is_stated_is_no_sample(people: Path) -> None:
    data = pose(people)
    faults.resize(people / "p3.jpg")
    with pytest.raises(ValueError, match=r"p3\.jpg is 60 x 120 .* states 120 x 160"):
        data[3]


# ---- depth and normals -------------------------------------------------------------------------


def test_millimeters_without_a_unit(tmp_path: Path) -> None:
    worlds.write_maps(tmp_path / "m", "depths")
    plant = faults.files("depths", faults.array(lambda a: a * 1000), faults.AMOUNTS["all"])
    plant(tmp_path / "m")
    arguments: dict[str, Any] = {"split": "train", "kind": "metric", "val_fraction": None}
    with pytest.raises(ValueError, match=r"depths of 1\d{3}.* m.*unit_m=0\.001 reads millimeters"):
        DepthMaps(tmp_path / "m", **arguments)
    depth = DepthMaps(tmp_path / "m", unit_m=0.001, **arguments)[0].depth
    assert depth is not None
    np.testing.assert_allclose(depth.depth, worlds.depth_of(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("factor", "unit_m", "advice"),
    [
        (100, 1.0, "data.train.unit_m=0.01 reads centimeters"),
        (1000, 1.0, "data.train.unit_m=0.001 reads millimeters"),
        (1, 0.001, "data.train.unit_m=1 reads meters"),
        (0.001, 1.0, "data.train.unit_m=1000 reads kilometers"),
        (10_000, 1.0, "data.train.unit_m=0.0001 reads tenths of a millimeter"),
    ],
)
def test_the_advised_units_include_the_true_one(
    tmp_path: Path, factor: float, unit_m: float, advice: str
) -> None:
    worlds.write_maps(tmp_path / "m", "depths")
    plant = faults.files("depths", faults.array(lambda a: a * factor), faults.AMOUNTS["all"])
    plant(tmp_path / "m")
    with pytest.raises(ValueError, match=re.escape(advice)):
        DepthMaps(tmp_path / "m", split="train", kind="metric", val_fraction=None, unit_m=unit_m)


def test_percents_are_named() -> None:
    sides = np.array([640.0, 480, np.inf, 300])
    found = percent_finding(np.array([99.0, 70, 20, 88]), sides, "keypoints")
    assert found is not None
    assert "of all 4 annotations are below 100 in images of at least 300 pixels" in str(found)
    assert percent_finding(np.array([99.0, 70, 20, 101]), sides, "keypoints") is None
    assert percent_finding(np.array([99.0, 70, 20, 88]), sides - 100, "keypoints") is None
    assert percent_finding(np.array([9.0, 7, 2, 8]), sides, "keypoints") is None


def test_a_unit_is_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unit_m=1/256 is no number: give 0\.00390625"):
        DepthMaps(tmp_path, split="train", unit_m="1/256")  # type: ignore[arg-type]


@pytest.mark.parametrize("signs", [(-1, -1, -1), (-1, 1, 1), (1, -1, 1), (1, 1, -1), (1, -1, -1)])
@pytest.mark.parametrize("order", ["xyz", "zyx", "yxz", "yzx"])
def test_the_advised_frame_gives_the_true_normals(
    tmp_path: Path, signs: tuple[int, int, int], order: str
) -> None:
    worlds.write_maps(tmp_path / "m", "normals")
    places = ["xyz".index(axis) for axis in order]
    stored = faults.array(lambda a: (a * np.array(signs, np.float32))[..., places])
    faults.files("normals", stored, faults.AMOUNTS["all"])(tmp_path / "m")
    arguments: dict[str, Any] = {"split": "train", "val_fraction": None}
    with pytest.raises(ValueError, match="frame=") as caught:
        NormalMaps(tmp_path / "m", **arguments)
    advice = re.findall(r"(frame|axis_order)=([a-z-]+)", str(caught.value))[-2:]
    normal = NormalMaps(tmp_path / "m", **arguments, **dict(advice))[0].normal
    assert normal is not None
    mask, truth = worlds.body(0)
    np.testing.assert_allclose(normal.normal[mask], truth[mask], atol=1e-5)


def test_json_of_regions_stays_readable(tmp_path: Path) -> None:
    """The worlds themselves are what they say."""
    worlds.write_regions(tmp_path / "r")
    assert json.loads((tmp_path / "r/annotations.json").read_text()) == worlds.regions()
