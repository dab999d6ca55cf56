from __future__ import annotations

import logging
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.data.arrays import read_labels, read_mask, read_size
from sapiens_lab.data.datasets.part_masks import PartMasks, class_ids

SIZE = (6, 8)
IDS = np.zeros(SIZE, np.uint8)
IDS[2:4, 1:3] = 4  # Left_Foot
IDS[5, 5] = 255


@pytest.fixture
def clothes(tmp_path: Path) -> Parts:
    path = tmp_path / "clothes.yaml"
    path.write_text(
        "name: clothes\n"
        'classes: [background, {name: shirt, color: "#ff0000"}, {name: hat, color: "#0000ff"}]\n'
        "merge: {200: hat}\n"
        "ignore: [9]\n"
    )
    return Parts.load(path)


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)


def save_pair(root: Path, name: str, images: str, labels: str, ids: np.ndarray = IDS) -> None:
    save(root / images / f"{name}.jpg", np.full((*ids.shape, 3), 90, np.uint8))
    save(root / labels / f"{name}.png", ids)


def names_of(dataset: PartMasks) -> list[str]:
    return [Path(dataset[i].meta.path).stem for i in range(len(dataset))]


def test_a_sample_is_the_whole_image(tmp_path: Path) -> None:
    for name in ("b", "a"):
        save_pair(tmp_path, name, "images/train", "labels/train")
    dataset = PartMasks(tmp_path, split="train", parts="goliath28")
    assert names_of(dataset) == ["a", "b"]
    sample = dataset[1]
    assert sample.labels is not None
    assert sample.labels.ids.dtype == np.uint8
    np.testing.assert_array_equal(sample.labels.ids, IDS)
    assert sample.labels.flip_indices is Parts.load("goliath28").flip_indices
    assert sample.bbox.tolist() == [0, 0, 7, 5] == sample.meta.bbox.tolist()
    assert sample.meta.size == SIZE
    assert (sample.meta.id, sample.meta.image_id) == (1, 1)
    counts, num_maps = dataset.count_pixels()
    assert num_maps == len(dataset)
    assert (counts[0], counts[4], counts[255], counts.sum()) == (86, 8, 2, 96)
    assert dataset.count_pixels(1).pixels.sum() == 48


@pytest.mark.parametrize(
    ("layout", "images", "labels"),
    [
        ("folders", "images/{}", "masks/{}"),
        ("folders", "{}/images", "{}/annotations"),
        ("folders", "{}2017/Images", "{}2017/Segmentations"),
        ("lip", "images/{}_images", "segmentations/{}_segmentations"),
        ("lip", "TrainVal_images/{}_images", "TrainVal_parsing_annotations/{}_segmentations"),
        ("cihp", "{long}/Images", "{long}/Category_ids"),
    ],
)
def test_each_layout_is_found(tmp_path: Path, layout: str, images: str, labels: str) -> None:
    for split, word, count in (("train", "Training", 3), ("val", "Validation", 2)):
        for i in range(count):
            folders = [f.format(split, long=word) for f in (images, labels)]
            save_pair(tmp_path, f"{split}{i}", *folders)
    for split, count in (("train", 3), ("val", 2)):
        dataset = PartMasks(tmp_path, split=split, parts="lip20", layout=layout)
        assert names_of(dataset) == [f"{split}{i}" for i in range(count)]


def test_face_synthetics_is_divided(tmp_path: Path) -> None:
    for i in range(10):
        save(tmp_path / f"dataset_10/{i:06}.png", np.zeros((*SIZE, 3), np.uint8))
        save(tmp_path / f"dataset_10/{i:06}_seg.png", IDS)
        (tmp_path / f"dataset_10/{i:06}_ldmks.txt").write_text("")
    sets = [
        PartMasks(tmp_path, split=split, parts="face19", layout="face_synthetics")
        for split in ("train", "val")
    ]
    assert [len(s) for s in sets] == [9, 1]


def test_one_folder_is_divided_by_names_alone(tmp_path: Path) -> None:
    for i in range(20):
        save_pair(tmp_path, f"deep/{i}", "images", "labels")

    def split(name: str, fraction: float | None) -> list[str]:
        return names_of(
            PartMasks(tmp_path, split=name, parts="lip20", val_fraction=fraction)  # type: ignore[arg-type]
        )

    train, val = split("train", 0.25), split("val", 0.25)
    assert (len(train), len(val)) == (15, 5)
    assert not set(train) & set(val)
    assert split("val", 0.25) == val
    assert set(split("val", 0.1)) < set(val)
    assert len(split("train", None)) == 20
    with pytest.raises(ValueError, match=r"val_fraction=1\.5"):
        split("train", 1.5)


def test_folders_can_be_named(tmp_path: Path) -> None:
    save_pair(tmp_path, "a", "photos/train", "ids")
    save_pair(tmp_path, "b", "other", "ids")
    dataset = PartMasks(
        tmp_path, split="train", parts="lip20", image_dir="photos/train", label_dir="ids"
    )
    assert names_of(dataset) == ["a"]


def test_palette_images_give_their_indices(tmp_path: Path) -> None:
    image = Image.fromarray(IDS).convert("P")
    image.putdata(IDS.ravel().tolist())
    image.putpalette(np.random.default_rng(0).integers(0, 255, 768).tolist())
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "palette.png"), IDS)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [("bmp", np.uint8), *((s, d) for s in ("png", "tif", "npy") for d in (np.uint8, np.uint16))],
)
def test_other_files_of_ids(tmp_path: Path, suffix: str, dtype: type) -> None:
    path = tmp_path / f"ids.{suffix}"
    ids = IDS.astype(dtype)
    np.save(path, ids[None]) if suffix == "npy" else save(path, ids)
    np.testing.assert_array_equal(read_labels(path), IDS)


def test_gray_levels_of_four_bits_are_not_spread(tmp_path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 4, 1, 4, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" + bytes([0x01, 0x2F]))
    content = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    path = tmp_path / "small.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert read_labels(path).tolist() == [[0, 1, 2, 15]]


def test_masks_of_any_kind(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:16] = True
    save(tmp_path / "bits.png", mask)
    save(tmp_path / "one.png", mask.astype(np.uint8))
    save(tmp_path / "rgb.png", np.repeat(mask[..., None], 3, 2).astype(np.uint8) * 255)
    save(tmp_path / "gray.jpg", mask.astype(np.uint8) * 255)
    for path in sorted(tmp_path.iterdir()):
        np.testing.assert_array_equal(read_mask(path), mask, err_msg=str(path))


def test_the_size_in_the_header_knows_the_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_size(tmp_path / "turned.jpg") == (60, 40)


def test_values_are_looked_up(clothes: Parts) -> None:
    values = np.array([[0, 1, 2], [200, 9, 255]], np.uint16)
    assert class_ids(values, clothes, Path("x.png")).tolist() == [[0, 1, 2], [2, 255, 255]]


def test_colors_of_classes_are_read(clothes: Parts) -> None:
    colors = clothes.colors[np.array([[0, 1], [2, 2]])]
    assert class_ids(colors, clothes, Path("x.png")).tolist() == [[0, 1], [2, 2]]
    gray = np.array([[0, 2], [200, 9]], np.uint8)[..., None].repeat(3, -1)
    assert class_ids(gray, clothes, Path("x.png")).tolist() == [[0, 2], [2, 255]]


def test_colors_of_no_class_are_named(clothes: Parts) -> None:
    colors = np.array([[[1, 2, 3], [255, 0, 0]]], np.uint8)
    with pytest.raises(ValueError, match=r"x\.png is a 3-channel mask without a color.*#010203"):
        class_ids(colors, clothes, Path("x.png"))
    shared = np.full((1, 1, 3), (255, 215, 0), np.uint8)
    with pytest.raises(ValueError, match="#ffd700 stands for Left_ear and Headwear"):
        class_ids(shared, Parts.load("face19"), Path("x.png"))


def test_unknown_values_are_named_before_the_first_step(tmp_path: Path) -> None:
    for i in range(3):
        save_pair(tmp_path, str(i), "images/train", "labels/train", np.full(SIZE, 20 + i, np.uint8))
    with pytest.raises(ValueError, match="3 of 3 files") as error:  # there is nothing to go on with
        PartMasks(tmp_path, split="train", parts="face19", on_error="skip")
    assert "1.png holds value 21, which 'face19' does not know" in str(error.value)


def test_faulty_files_are_named_or_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abc":
        save_pair(tmp_path, name, "images/train", "labels/train")
    save(tmp_path / "labels/train/b.png", np.full(SIZE, 77, np.uint8))
    save(tmp_path / "labels/train/c.png", IDS[:-1])
    with pytest.raises(ValueError, match=r"2 of 3 files") as error:
        PartMasks(tmp_path, split="train", parts="goliath28")
    text = str(error.value)
    assert "b.png holds value 77" in text
    assert "c.png is 5 x 8" in text
    assert "c.jpg is 6 x 8" in text
    assert "on_error=skip" in text
    dataset = PartMasks(tmp_path, split="train", parts="goliath28", on_error="skip")
    with caplog.at_level(logging.WARNING):
        counts = dataset.count_pixels()
        assert (counts.pixels[4], counts.num_maps) == (8, 2)  # b is not counted
    assert "b.png" in caplog.text
    assert Path(dataset[0].meta.path).stem == "a"
    for index, fault in ((1, "b.png holds value 77"), (2, "c.png is 5 x 8")):
        with pytest.raises(ValueError, match=fault):
            dataset[index]
    with pytest.raises(IndexError):
        dataset[3]


def test_images_without_labels_are_named_or_skipped(tmp_path: Path) -> None:
    for name in "abcdefgh":
        save_pair(tmp_path, name, "images/train", "labels/train")
    for name in "bcdefg":
        (tmp_path / f"labels/train/{name}.png").unlink()
    with pytest.raises(ValueError, match="6 of 8 images have no label") as error:
        PartMasks(tmp_path, split="train", parts="goliath28")
    text = str(error.value)
    assert [f"{name}.jpg" in text for name in "bcdefg"] == [True] * 5 + [False]
    dataset = PartMasks(tmp_path, split="train", parts="goliath28", on_error="skip")
    assert names_of(dataset) == ["a", "h"]


def test_missing_folders_are_explained(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder"):
        PartMasks(tmp_path / "nowhere", split="train", parts="goliath28")
    save_pair(tmp_path, "a", "images/train", "truth")
    with pytest.raises(FileNotFoundError, match=r"labels/.*there: images, truth.*label_dir=FOLDER"):
        PartMasks(tmp_path, split="train", parts="goliath28")
    with pytest.raises(FileNotFoundError, match=r"images/.*data\.val\.image_dir"):
        PartMasks(tmp_path, split="val", parts="goliath28")
    with pytest.raises(ValueError, match="layout='atr'"):
        PartMasks(tmp_path, split="train", parts="goliath28", layout="atr")  # type: ignore[arg-type]


def test_names_that_never_match_are_shown(tmp_path: Path) -> None:
    save_pair(tmp_path, "a", "images", "x")
    save_pair(tmp_path, "a_label", "y", "labels")
    with pytest.raises(ValueError, match="images are called a, the labels a_label"):
        PartMasks(tmp_path, split="train", parts="goliath28")


def test_lossy_labels_and_twins_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "images/a.png", np.zeros((*SIZE, 3), np.uint8))
    save(tmp_path / "labels/a.jpg", IDS)
    with pytest.raises(FileNotFoundError, match=r"no label files.*those there end in \.jpg"):
        PartMasks(tmp_path, split="train", parts="goliath28")
    (tmp_path / "labels/a.jpg").rename(tmp_path / "labels/a.png")
    with pytest.raises(ValueError, match=r"a\.png is a JPEG"):
        read_labels(tmp_path / "labels/a.png")
    save(tmp_path / "images/a.jpg", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a\.jpg and .*a\.png have the same name"):
        PartMasks(tmp_path, split="train", parts="goliath28")


def test_damaged_labels_are_named(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    save(path, np.random.default_rng(0).integers(0, 9, (90, 90)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(ValueError, match=r"half\.png is damaged"):
        read_labels(path)
    np.save(tmp_path / "float.npy", np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"float\.npy holds float64"):
        read_labels(tmp_path / "float.npy")
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(ValueError, match=r"text\.npy is not an array"):
        read_labels(tmp_path / "text.npy")
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((3, 3), 300, np.uint16))
    with pytest.raises(ValueError, match=r"deep\.png holds value 300"):
        class_ids(read_labels(tmp_path / "deep.png"), Parts.load("lip20"), tmp_path / "deep.png")
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_labels(tmp_path / "none.png")
