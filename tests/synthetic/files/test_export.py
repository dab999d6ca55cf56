"""Written scenes hold what was rendered, are resumed one by one, and never mix settings."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens_lab import atomic
from sapiens_lab.data.datasets.coco_pose import CocoPose
from sapiens_lab.data.datasets.synthetic_people import SyntheticPeople
from sapiens_lab.data.images import read_image
from sapiens_lab.synthetic import PARTS, Scene
from sapiens_lab.synthetic.files.export import ExportFolder, stem
from sapiens_lab.synthetic.files.formats import FileFormats
from sapiens_lab.synthetic.people.landmarks import match_landmarks
from sapiens_lab.synthetic.people.views import SPLITS, PeopleViews, SceneSource

SIZE = (64, 48)
SOURCE = SceneSource(image_size=SIZE, seed=0, split=0, supersample=1)
NPY, PNG = FileFormats(), FileFormats(depth="png16", normal="png16")
HALF = FileFormats(depth_dtype="float16")


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [SOURCE.render(i) for i in range(4)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ExportFolder:
    """Four scenes as NPY, not to be changed."""
    folder = _folder(tmp_path_factory.mktemp("export") / "out")
    _write(folder, 4)
    return folder


def _folder(root: Path, formats: FileFormats = NPY, source: SceneSource = SOURCE) -> ExportFolder:
    return ExportFolder(root=root, source=PeopleViews(source), formats=formats)


def _write(folder: ExportFolder, count: int) -> None:
    folder.open("test")
    for index in set(range(count)) - folder.complete():
        folder.write(index)
    assert folder.finish("wholebody133") == count


def test_images_masks_and_labels_are_those_of_the_scene(
    written: ExportFolder, scenes: list[Scene]
) -> None:
    for i, scene in enumerate(scenes):
        np.testing.assert_array_equal(read_image(written.path("images", i)), scene.rgb)
        mask = cv2.imread(str(written.path("masks", i)), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, np.where(scene.mask, 255, 0))
        labels = cv2.imread(str(written.path("labels", i)), cv2.IMREAD_UNCHANGED)
        assert (mask.dtype, labels.dtype) == (np.uint8, np.uint8)
        np.testing.assert_array_equal(labels, scene.parts)
    facts = json.loads((written.root / "dataset.json").read_text())
    assert facts["parts"] == list(PARTS)
    assert facts["settings"]["image_size"] == list(SIZE)
    assert facts["commands"] == ["test"]


def test_npy_maps(written: ExportFolder, scenes: list[Scene]) -> None:
    for i, scene in enumerate(scenes):
        depth, normal = (np.load(written.path(kind, i)) for kind in ("depths", "normals"))
        assert (depth.dtype, normal.dtype) == (np.float32, np.float16)
        np.testing.assert_array_equal(depth, scene.depth)
        np.testing.assert_allclose(normal, scene.normal, atol=2**-12)  # half a step below 1
        assert not normal[~scene.mask].any()


def test_float16_depth(tmp_path: Path, scenes: list[Scene]) -> None:
    folder = _folder(tmp_path / "out", HALF)
    folder.write(0)
    depth = np.load(folder.path("depths", 0))
    assert depth.dtype == np.float16
    np.testing.assert_allclose(depth.astype(np.float32), scenes[0].depth, rtol=2**-11)


def test_png16_maps(tmp_path: Path, scenes: list[Scene]) -> None:
    folder = _folder(tmp_path / "out", PNG)
    _write(folder, 4)
    for i, scene in enumerate(scenes):
        depth, normal = (
            cv2.imread(str(folder.path(kind, i)), cv2.IMREAD_UNCHANGED)
            for kind in ("depths", "normals")
        )
        assert depth.dtype == normal.dtype == np.uint16
        assert depth.shape == SIZE
        np.testing.assert_allclose(depth / 1000, scene.depth, atol=0.5001e-3)
        decoded = normal[..., ::-1] / 32767.5 - 1  # (n + 1) / 2 of 65535, BGR to RGB
        np.testing.assert_allclose(decoded, scene.normal, atol=2e-5)


def test_coco_annotations(written: ExportFolder, scenes: list[Scene]) -> None:
    content = json.loads((written.root / "annotations" / "keypoints.json").read_text())
    names = content["categories"][0]["keypoints"]
    assert len(names) == 133
    files = [image["file_name"] for image in content["images"]]
    assert files == [f"0000/0000000{i}.png" for i in range(4)]
    assert all((written.root / "images" / name).is_file() for name in files)
    for i, (annotation, scene) in enumerate(zip(content["annotations"], scenes, strict=True)):
        assert (annotation["id"], annotation["image_id"]) == (i + 1, i)
        x, y, w, h = annotation["bbox"]
        np.testing.assert_allclose([x, y, x + w, y + h], scene.bbox)
        assert annotation["area"] == scene.mask.sum()
        points = np.array(annotation["keypoints"]).reshape(-1, 3)
        assert annotation["num_keypoints"] == (points[:, 2] > 0).sum()
        for name, (x, y, seen) in zip(names, points, strict=True):
            place = scene.keypoint_names.index(name)
            assert seen == scene.visible[place]
            wanted = scene.keypoints[place] if seen else (0, 0)
            np.testing.assert_allclose((x, y), wanted, atol=6e-4)


def test_our_own_data_set_reads_it(written: ExportFolder, scenes: list[Scene]) -> None:
    people = CocoPose(
        written.root, split="train", skeleton="wholebody133", val_fraction=0.0,
        annotation_file="annotations/keypoints.json", image_dir="images",
    )  # fmt: skip
    sample = next(s for s in (people[i] for i in range(len(people))) if s.meta.image_id == 2)
    np.testing.assert_array_equal(sample.image.pixels, scenes[2].rgb)
    np.testing.assert_allclose(sample.bbox, scenes[2].bbox)


def test_another_skeleton_needs_no_rendering(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "out")
    _write(folder, 2)
    before = folder.path("images", 0).stat().st_mtime_ns
    assert folder.finish("goliath308") == 2
    content = json.loads((folder.root / "annotations" / "keypoints.json").read_text())
    assert len(content["annotations"][0]["keypoints"]) == 3 * 308
    assert folder.path("images", 0).stat().st_mtime_ns == before


def test_cameras_project_as_the_scene_does(written: ExportFolder, scenes: list[Scene]) -> None:
    lines = (written.root / "cameras.jsonl").read_text().splitlines()
    for i, (line, scene) in enumerate(zip(lines, scenes, strict=True)):
        camera = json.loads(line)
        assert camera["file"] == stem(i)
        assert (camera["height"], camera["width"]) == SIZE
        point = np.array([0.1, 1.0, 0.05])
        x, y, z = np.array(camera["R"]) @ point + camera["t"]
        pixel = np.array([x, y]) / z * camera["focal_px"] + camera["principal_point_px"]
        np.testing.assert_allclose(pixel, scene.camera.project(point[None])[0][0], rtol=1e-4)


def test_splits_are_those_of_the_data_set() -> None:
    for number, split in enumerate(SPLITS):
        people = SyntheticPeople(
            num_scenes=1, image_size=SIZE, split=split, cache=False, supersample=1
        )
        source = SceneSource(image_size=SIZE, seed=0, split=number, supersample=1)
        np.testing.assert_array_equal(people.scene(0).rgb, source.render(0).rgb)


@pytest.mark.parametrize("kind", ["images", "labels", "depths", "normals", "scenes"])
def test_a_scene_without_one_of_its_files_is_made_again_and_no_other(
    tmp_path: Path, kind: str
) -> None:
    folder = _folder(tmp_path / "out")
    _write(folder, 3)
    before = _times(folder)
    folder.path(kind, 1).unlink()
    assert folder.complete() == {0, 2}
    _write(folder, 3)
    after = _times(folder)
    changed = {path for path in after if after[path] != before[path]}
    assert {path.stem for path in changed if "0000" in str(path.parent)} == {"00000001"}
    assert folder.complete() == {0, 1, 2}


def _times(folder: ExportFolder) -> dict[Path, int]:
    files = [path for path in folder.root.rglob("*") if path.is_file()]
    return {path.relative_to(folder.root): path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize(
    ("formats", "source", "named"),
    [
        (PNG, SOURCE, "depth_format is 'npy float32' there, 'png16' now"),
        (NPY, SceneSource(image_size=SIZE, seed=1, split=0, supersample=1), "seed is 0 there, 1"),
        (NPY, SceneSource(image_size=(64, 64), seed=0, split=0, supersample=1), "image_size"),
    ],
)
def test_other_settings_are_refused(
    written: ExportFolder, formats: FileFormats, source: SceneSource, named: str
) -> None:
    before = _times(written)
    with pytest.raises(ValueError, match="another folder as --out") as raised:
        _folder(written.root, formats, source).open("other")
    assert named in str(raised.value)
    assert str(written.root / "dataset.json") in str(raised.value)
    assert _times(written) == before


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"has no dataset\.json; give a new folder"):
        _folder(tmp_path).open("test")


def test_an_interrupted_scene_leaves_no_half_file_and_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path / "out")
    folder.open("test")
    write = atomic.write_bytes

    def interrupted(path: Path, data: bytes) -> None:
        if path.parent.parent.name == "depths":
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(atomic, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.write(0)
    assert folder.complete() == set()
    assert not list(folder.root.rglob(".*"))
    monkeypatch.undo()
    _write(folder, 1)


def test_too_little_disk_is_refused(written: ExportFolder) -> None:
    with pytest.raises(ValueError, match=r"need about .* GB, but the disk of .* free; take fewer"):
        written.check_room(10**12)


@pytest.mark.parametrize("formats", [NPY, PNG, HALF])
def test_the_estimate_of_disk_is_near_and_not_too_small(
    tmp_path: Path, formats: FileFormats
) -> None:
    source = SceneSource(image_size=(256, 192), seed=0, split=0, supersample=2)
    folder = _folder(tmp_path / "out", formats, source)
    for index in range(3):
        folder.write(index)
    used = sum(4096 * -(-p.stat().st_size // 4096) for p in folder.root.rglob("*") if p.is_file())
    assert 0.4 < used / folder.check_room(3) < 1


def test_folders_hold_a_thousand_scenes() -> None:
    assert stem(999) == "0000/00000999"
    assert stem(1000) == "0001/00001000"
    assert stem(12_345_678) == "12345/12345678"


def test_a_skeleton_that_the_body_does_not_have_is_refused(tmp_path: Path) -> None:
    from sapiens_lab.anatomy.skeleton import Skeleton

    path = tmp_path / "horse.yaml"
    path.write_text("name: horse\nkeypoints: [left_hoof, right_hoof]\n")
    with pytest.raises(ValueError, match="none of the keypoints of skeleton 'horse'"):
        match_landmarks(Skeleton.load(path))
