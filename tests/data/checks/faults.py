"""More than 200 planted faults: mutator times how many samples times kind of dataset.

Each is harmful: training on it would be wrong, or end somewhere in the middle. ``test_faults.py``
asserts how many of them are named before the first step.
"""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from tests.data.checks import worlds

Plant = Callable[[Path], None]
AMOUNTS = {"one": [3], "half": list(range(0, worlds.NUM, 2)), "all": list(range(worlds.NUM))}


@dataclass(frozen=True)
class Fault:
    kind: str  # of the dataset
    name: str
    plant: Plant


def edit(change: Callable[[dict[str, Any]], Any]) -> Plant:
    """Change the content of ``annotations.json``; what is returned, if anything, replaces it."""

    def plant(root: Path) -> None:
        path = root / "annotations.json"
        content = json.loads(path.read_text())
        replaced = change(content)
        path.write_text(json.dumps(content if replaced is None else replaced))

    return plant


def per_annotation(change: Callable[[dict[str, Any]], Any], rows: list[int]) -> Plant:
    def apply(content: dict[str, Any]) -> None:
        for i in rows:
            change(content["annotations"][i])

    return edit(apply)


def box(change: Callable[..., list[Any]]) -> Callable[[dict[str, Any]], None]:
    return lambda a: a.update(bbox=change(*a["bbox"]))


def points(change: Callable[[np.ndarray], Any]) -> Callable[[dict[str, Any]], None]:
    def apply(a: dict[str, Any]) -> None:
        numbers = change(np.array(a["keypoints"], float).reshape(-1, 3))
        a["keypoints"] = numbers.ravel().tolist() if isinstance(numbers, np.ndarray) else numbers

    return apply


def put(column: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Set a number of the sixth point."""

    def apply(values: np.ndarray) -> np.ndarray:
        values[5, column] = value
        return values

    return apply


H, W = worlds.PERSON
FRACTIONS = np.array([W, H, W, H])
BOXES: dict[str, Callable[[dict[str, Any]], None]] = {
    "xyxy": box(lambda x, y, w, h: [x, y, x + w, y + h]),
    "center": box(lambda x, y, w, h: [x + w / 2, y + h / 2, w, h]),
    "yxhw": box(lambda x, y, w, h: [y, x, h, w]),
    "fractions": box(lambda *b: (np.array(b) / FRACTIONS).tolist()),
    "three": box(lambda x, y, w, h: [x, y, w]),
    "text": box(lambda *b: [str(n) for n in b]),
    "null": box(lambda x, y, w, h: [x, y, None, h]),
    "nan": box(lambda x, y, w, h: [x, y, float("nan"), h]),
    "inf": box(lambda x, y, w, h: [x, float("inf"), w, h]),
    "negative": box(lambda x, y, w, h: [x, y, -w, h]),
    "flat": box(lambda x, y, w, h: [x, y, w, 0]),
    "outside": box(lambda x, y, w, h: [x + 1000, y, w, h]),
    "dictionary": box(lambda x, y, w, h: {"x": x, "y": y, "w": w, "h": h}),  # type: ignore[arg-type, return-value]
    "elsewhere": box(lambda x, y, w, h: [0, 0, 12, 12]),
}
POINTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "nan": points(put(0, float("nan"))),
    "inf": points(put(1, float("inf"))),
    "1e30": points(put(0, 1e30)),
    "-5000": points(put(1, -5000)),
    "visibility 7": points(put(2, 7)),
    "visibility -3": points(put(2, -3)),
    "visibility nan": points(put(2, float("nan"))),
    "text": points(lambda p: [str(n) for n in p.ravel().tolist()]),
    "null": points(lambda p: [None, *p.ravel().tolist()[1:]]),
    "nested": points(lambda p: p.tolist()),
    "pairs": points(lambda p: p[:, :2]),
    "short": points(lambda p: p[:-1]),
    "dictionary": points(lambda p: {"nose": p[0].tolist()}),
    "fractions": points(lambda p: p / [W, H, 1]),
    "one place": points(lambda p: p * [0, 0, 1] + [40, 40, 0]),
}


def json_faults() -> Iterator[tuple[str, Plant]]:
    """Faults of the file of people."""
    yield "no image_id", per_annotation(lambda a: a.pop("image_id"), [3])
    yield "no image_id at all", per_annotation(lambda a: a.pop("image_id"), AMOUNTS["all"])
    for key in ("file_name", "id"):
        yield f"no {key}", edit(lambda c, key=key: c["images"][2].pop(key) and None)
        yield f"{key} null", edit(lambda c, key=key: c["images"][2].update({key: None}))
    yield (
        "ids of images as text",
        edit(lambda c: [i.update(id=str(i["id"])) for i in c["images"]] and None),
    )
    yield (
        "image_ids as text",
        per_annotation(lambda a: a.update(image_id=str(a["image_id"])), AMOUNTS["all"]),
    )
    yield (
        "half of image_ids as text",
        per_annotation(lambda a: a.update(image_id=str(a["image_id"])), AMOUNTS["half"]),
    )
    yield "image_id a list", per_annotation(lambda a: a.update(image_id=[1]), [3])
    yield (
        "images a dictionary",
        edit(lambda c: c.update(images={str(i["id"]): i["file_name"] for i in c["images"]})),
    )
    yield (
        "annotations a dictionary",
        edit(lambda c: c.update(annotations={str(a["id"]): a for a in c["annotations"]})),
    )
    yield "categories a dictionary", edit(lambda c: c.update(categories={"1": "person"}))
    yield "a list of annotations", edit(lambda c: c["annotations"])
    yield "an entry null", edit(lambda c: c["annotations"].__setitem__(3, None))
    yield "an image as text", edit(lambda c: c["images"].__setitem__(3, "p3.jpg"))
    yield "two images of one id", edit(lambda c: c["images"][4].update(id=4))
    yield "an image twice", edit(lambda c: c["images"].append({**c["images"][0], "id": 99}))
    yield "two annotations of one id", per_annotation(lambda a: a.update(id=1), [3])
    yield (
        "a person twice",
        edit(lambda c: c["annotations"].append({**c["annotations"][3], "id": 99})),
    )
    yield "an image that is not listed", per_annotation(lambda a: a.update(image_id=77), [3])
    yield "no image that is listed", per_annotation(lambda a: a.update(image_id=77), AMOUNTS["all"])
    yield "another category", edit(mixed_categories)
    yield (
        "height and width exchanged",
        edit(lambda c: [i.update(height=W, width=H) for i in c["images"]] and None),
    )
    yield (
        "sizes of other images",
        edit(lambda c: [i.update(height=2 * H, width=2 * W) for i in c["images"]] and None),
    )
    yield "height as text", edit(lambda c: c["images"][1].update(height="120"))
    yield "all crowds", per_annotation(lambda a: a.update(iscrowd=1), AMOUNTS["all"])
    yield "nothing labeled", per_annotation(points(lambda p: p * 0), AMOUNTS["all"])
    yield "no keypoints", per_annotation(lambda a: a.pop("keypoints"), AMOUNTS["all"])
    yield "no annotations", edit(lambda c: c.update(annotations=[]))
    yield "a long name", edit(lambda c: c["images"][2].update(file_name="x" * 5000 + ".jpg"))
    yield "a name with a null", edit(lambda c: c["images"][2].update(file_name="a\0.jpg"))
    yield "a name of nothing", edit(lambda c: c["images"][2].update(file_name=""))
    yield "a missing image", edit(lambda c: c["images"][2].update(file_name="none.jpg"))
    yield (
        "no image there",
        edit(lambda c: [i.update(file_name="x/" + i["file_name"]) for i in c["images"]] and None),
    )
    yield "left and right swapped", per_annotation(points(swap_sides), AMOUNTS["all"])
    yield "keypoints in another order", edit(lambda c: c["categories"][0]["keypoints"].reverse())
    yield (
        "keypoints of other names",
        edit(lambda c: c["categories"][0].update(keypoints=[f"paw{i}" for i in range(17)])),
    )
    yield (
        "boxes twice too large",
        per_annotation(
            box(lambda x, y, w, h: [x - w / 2, y - h / 2, 2 * w, 2 * h]), AMOUNTS["all"]
        ),
    )
    yield (
        "keypoints of a larger image",
        per_annotation(points(lambda p: p * [2, 2, 1]), AMOUNTS["all"]),
    )
    yield "cut off", lambda root: cut(root / "annotations.json", 0.7)
    yield "empty", lambda root: (root / "annotations.json").write_bytes(b"") and None
    yield "binary", lambda root: (root / "annotations.json").write_bytes(os.urandom(999)) and None
    yield (
        "nested deeply",
        lambda root: (root / "annotations.json").write_text("[" * 99_999) and None,
    )
    for key in ("images", "annotations", "bbox", "keypoints"):
        yield f"{key} twice", lambda root, key=key: repeat_key(root / "annotations.json", key)


def mixed_categories(content: dict[str, Any]) -> None:
    content["categories"].append(
        {"id": 2, "name": "dog", "keypoints": [f"d{i}" for i in range(17)]}
    )
    for a in content["annotations"][::2]:
        a["category_id"] = 2


def swap_sides(values: np.ndarray) -> np.ndarray:
    from sapiens_lab.anatomy.skeleton import Skeleton

    swapped: np.ndarray = values[Skeleton.load("coco17").flip_indices]
    return swapped


def repeat_key(path: Path, key: str) -> None:
    text = path.read_text()
    path.write_text(text.replace(f'"{key}":', f'"{key}": [], "{key}":', 1))


def cut(path: Path, fraction: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])


def zero_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    size = len(content)
    content[size // 2 : size // 2 + size // 6] = bytes(size // 6)
    path.write_bytes(content)


def lose_middle(path: Path) -> None:
    content = path.read_bytes()
    size = len(content)
    path.write_bytes(content[: size // 2] + content[size // 2 + size // 6 :])


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_bomb(path: Path) -> None:
    """Write a PNG of 30,000 x 30,000 pixels that takes 100 kB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + end

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(3751 * 300)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b""))


def replace_by_lying_tiff(path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (W, H)).save(buffer, "TIFF")
    tag = struct.pack("<HHI", 257, 4, 1)  # height, 32 bits
    content = buffer.getvalue()
    place = content.index(tag)
    content = content[: place + 2] + struct.pack("<HII", 4, 1, 4_000_000) + content[place + 12 :]
    path.write_bytes(content)


def resize(path: Path) -> None:
    with Image.open(path) as image:
        small = image.resize((image.width * 3 // 4, image.height // 2))
    small.save(path)


def turn(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:
        image.save(path, exif=exif)


IMAGES: dict[str, Callable[[Path], Any]] = {
    "cut off": lambda path: cut(path, 0.6),
    "of text": lambda path: path.write_text("no image"),
    "of no bytes": lambda path: path.write_bytes(b""),
    "of random bytes": lambda path: path.write_bytes(os.urandom(2000)),
    "a pipe": replace_by_pipe,
    "a device": replace_by_device,
    "a folder": replace_by_folder,
    "a bomb": replace_by_bomb,
    "a lying TIFF": replace_by_lying_tiff,
    "3 pixels": lambda path: Image.new("RGB", (3, 3)).save(path),
}
JPEGS: dict[str, Callable[[Path], Any]] = {
    "zeroed in the middle": zero_middle,
    "without its middle": lose_middle,
    "an animation": lambda path: Image.new("RGB", (W, H)).save(
        path, "GIF", save_all=True, append_images=[Image.new("RGB", (W, H), "red")]
    ),
}


def files(folder: str, change: Callable[[Path], Any], rows: list[int]) -> Plant:
    """Change files of a folder, in the order of their names."""

    def plant(root: Path) -> None:
        paths = sorted(p for p in (root / folder).iterdir() if p.suffix != ".json")
        for i in rows:
            change(paths[i])

    return plant


def array(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Change the values of a map."""

    def apply(path: Path) -> None:
        if path.suffix == ".npy":
            np.save(path, change(np.load(path)))
        else:
            cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))

    return apply


def of_next(folder: str) -> Plant:
    """Give every sample the map of the next."""

    def plant(root: Path) -> None:
        paths = sorted((root / folder).iterdir())
        contents = [path.read_bytes() for path in paths]
        for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
            path.write_bytes(content)

    return plant


def soften(ids: np.ndarray) -> np.ndarray:
    big = cv2.resize(ids * 1, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST)
    return cv2.resize(big, ids.shape[::-1], interpolation=cv2.INTER_LINEAR)


LABELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "shifted up": lambda a: np.minimum(a + 1, 3).astype(np.uint8),
    "zero taken off": lambda a: np.where(a == 0, 255, a - 1).astype(np.uint8),
    "0 and 255": lambda a: np.where(a > 0, 255, 0).astype(np.uint8),
    "ignored": lambda a: np.full_like(a, 255),
    "background": lambda a: a * 0,
    "an unknown id": lambda a: np.where(a == 3, 77, a).astype(np.uint8),
    "softened": soften,
    "flipped": lambda a: a[:, ::-1].copy(),
    "smaller": lambda a: a[:-2],
    "of 16 bits": lambda a: a.astype(np.uint16) * 300,
    "in colors": lambda a: np.dstack([a * 9, a * 7, a * 80]),
}
DEPTHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "in millimeters": lambda a: a * 1000,
    "in kilometers": lambda a: a / 1000,
    "inverse": lambda a: np.where(a > 0, 1 / np.maximum(a, 1e-3), 0).astype(np.float32),
    "negative": lambda a: -a,
    "constant": lambda a: np.where(a > 0, 2, 0).astype(np.float32),
    "1e10 in the person": lambda a: np.where(a > 1.9, 1e10, a).astype(np.float32),
    "one pixel of 1e30": lambda a: np.where(a == a.max(), 1e30, a).astype(np.float32),
    "NaN": lambda a: a * np.nan,
    "zero": lambda a: a * 0,
    "flipped": lambda a: a[:, ::-1].copy(),
    "smaller": lambda a: a[:-2],
    "of three channels": lambda a: np.dstack([a, a + 1, a + 2]),
    "complex": lambda a: a.astype(np.complex64),
    "text": lambda a: a.astype("U8"),
    "of 8 bits": lambda a: (a * 50).astype(np.uint8),
    "flat": lambda a: a.ravel(),
}
NORMALS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "all axes flipped": lambda a: -a,
    "red flipped": lambda a: a * np.array([-1, 1, 1], np.float32),
    "green flipped": lambda a: a * np.array([1, -1, 1], np.float32),
    "blue flipped": lambda a: a * np.array([1, 1, -1], np.float32),
    "of OpenGL": lambda a: a * np.array([1, -1, -1], np.float32),
    "x and y exchanged": lambda a: a[..., [1, 0, 2]],
    "in reverse": lambda a: a[..., ::-1],
    "half as long": lambda a: a / 2,
    "from 0 to 1": lambda a: (a + 1) / 2,
    "constant": lambda a: np.where(np.abs(a).sum(-1, keepdims=True) > 0, [0, 0, -1.0], 0),
    "zero": lambda a: a * 0,
    "NaN": lambda a: a * np.nan,
    "smaller": lambda a: a[:-2],
    "of two numbers": lambda a: a[..., :2],
    "whole numbers": lambda a: (a * 100).astype(np.int32),
}
MASKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "inverted": lambda a: 255 - a,
    "empty": lambda a: a * 0,
    "smaller": lambda a: a[:-2],
    "flipped": lambda a: a[:, ::-1].copy(),
}


def save_npz(path: Path) -> None:
    values = np.load(path)
    with path.open("wb") as file:
        np.savez(file, a=values)


ARRAYS: dict[str, Callable[[Path], Any]] = {
    "an .npz": save_npz,
    "a pickle": lambda path: np.save(path, np.array([{"a": 1}], object), allow_pickle=True),
    "cut off": lambda path: cut(path, 0.6),
    "of no bytes": lambda path: path.write_bytes(b""),
    "a lying header": lambda path: path.write_bytes(
        path.read_bytes().replace(b"(96, 80", b"(9999999, 99999", 1)
    ),
    "a pipe": replace_by_pipe,
    "a device": replace_by_device,
    "missing": lambda path: path.unlink(),
}
YAML = {
    "a key twice": "name: a\nname: b\n{key}: [a, b]\n",
    "a tag": "name: a\n{key}: !!python/object/apply:os.getcwd []\n",
    "binary": "name: a\n{key}: [!!binary aGVsbG8=, b]\n",
    "text for names": "name: a\n{key}: nose\n",
    "a number for names": "name: a\n{key}: 17\n",
    "a table for names": "name: a\n{key}: {{a: 1, b: 2}}\n",
    "a name twice": "name: a\n{key}: [a, b, a]\n",
    "an unknown key": "name: a\n{key}: [a, b]\ncolour: red\n",
    "a list": "[a, b]\n",
    "nothing": "",
    "no YAML": "name: [a\n",
    "pairs of an unknown name": "name: a\n{key}: [a, b]\nflip_pairs: [[a, c]]\n",
    "pairs as text": "name: a\n{key}: [a, b]\nflip_pairs: a\n",
    "a pair of one": "name: a\n{key}: [a, b]\nflip_pairs: [[a]]\n",
    "an entry without a name": "name: a\n{key}: [{{color: red}}, b]\n",
    "a color": "name: a\n{key}: [{{name: a, color: red}}, b]\n",
    "null in the list": "name: a\n{key}: [a, null]\n",
}
SKELETONS = {
    "edges beyond": "name: a\nkeypoints: [a, b]\nedges: [[a, z]]\n",
    "edges as numbers": "name: a\nkeypoints: [a, b]\nedges: [[1, 2]]\n",
    "edges as text": "name: a\nkeypoints: [a, b]\nedges: a\n",
    "sigma as text": "name: a\nkeypoints: [a, b]\nsigmas: [x, y]\n",
    "sigma negative": "name: a\nkeypoints: [a, b]\nsigmas: -1\n",
    "sigmas short": "name: a\nkeypoints: [a, b]\nsigmas: [0.1]\n",
}
PARTS = {
    "merge as a list": "name: a\nclasses: [a, b]\nmerge: [1]\n",
    "merge to nothing": "name: a\nclasses: [a, b]\nmerge: {7: z}\n",
    "ignore as text": "name: a\nclasses: [a, b]\nignore: x\n",
    "ignore 300": "name: a\nclasses: [a, b]\nignore: [300]\n",
    "weight as text": "name: a\nclasses: [{name: a, weight: x}, b]\n",
}


def shard_faults() -> Iterator[tuple[str, Plant]]:
    def tar(change: Callable[[Path], Any]) -> Plant:
        return lambda root: change(root / "train-0.tar") and None

    def index(content: bytes) -> Plant:
        return lambda root: (root / "train-0.tar.index.npy").write_bytes(content) and None

    def saved(rows: Any) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, rows)
        return buffer.getvalue()

    def compress(path: Path) -> None:
        with tarfile.open(path.with_suffix(".gz"), "w:gz") as archive:
            archive.add(path, "a.jpg")
        path.with_suffix(".gz").replace(path)

    def lie(path: Path, size: bytes) -> None:
        content = bytearray(path.read_bytes())
        content[124:136] = size
        content[148:156] = b" " * 8
        content[148:156] = b"%06o\0 " % sum(content[:512])
        path.write_bytes(content)

    yield "cut off", tar(lambda p: cut(p, 0.6))
    yield "of no bytes", tar(lambda p: p.write_bytes(b""))
    yield "of random bytes", tar(lambda p: p.write_bytes(os.urandom(5000)))
    yield "compressed", tar(compress)
    yield "sizes too large", tar(lambda p: lie(p, b"77777777777\0"))
    yield "sizes too small", tar(lambda p: lie(p, b"00000000005\0"))
    yield "sizes that are none", tar(lambda p: lie(p, b"xxxxxxxxxxx\0"))
    yield "a table of no bytes", index(b"")
    yield "a random table", index(os.urandom(400))
    yield "an empty table", index(saved(np.zeros((0, 3), np.int64)))
    yield "a table of floats", index(saved(np.zeros((4, 3))))
    yield "a flat table", index(saved(np.arange(9)))
    for name, row in {"beyond": [0, 1 << 60, 1 << 61], "before": [-5, 512, 900]}.items():
        yield (
            f"a table of places {name}",
            lambda root, row=row: (
                (root / "train-0.tar.index.npy").write_bytes(
                    saved(np.array([row, [(root / "train-0.tar").stat().st_size] * 3], np.int64))
                )
                and None
            ),
        )


def all_faults() -> list[Fault]:
    found: list[Fault] = []
    for amount, rows in AMOUNTS.items():
        for name, change in BOXES.items():
            found.append(Fault("people", f"boxes {name}, {amount}", per_annotation(change, rows)))
        for name, change in POINTS.items():
            plant = per_annotation(change, rows)
            found.append(Fault("people", f"keypoints {name}, {amount}", plant))
    found += [Fault("people", f"file {name}", plant) for name, plant in json_faults()]
    for name, damage in {**IMAGES, **JPEGS, "resized": resize, "turned": turn}.items():
        found.append(Fault("people", f"image {name}", files(".", damage, [3])))
    for name, damage in {**IMAGES, **JPEGS}.items():
        found.append(Fault("images", f"image {name}", files(".", damage, [3])))
    for name, damage in {**IMAGES, "resized": resize}.items():
        found.append(Fault("regions", f"image {name}", files(".", damage, [3])))
    for name, shape in REGIONS.items():
        for amount in ("one", "all"):
            plant = per_annotation(lambda a, shape=shape: a.update(shape(a)), AMOUNTS[amount])
            found.append(Fault("regions", f"{name}, {amount}", plant))
    maps = {"labels": LABELS, "depths": DEPTHS, "normals": NORMALS}
    for kind, changes in maps.items():
        for name, values in changes.items():
            found.append(Fault(kind, f"{name}, all", files(kind, array(values), AMOUNTS["all"])))
        found.append(Fault(kind, "of the next sample", of_next(kind)))
        for name, damage in IMAGES.items():
            found.append(Fault(kind, f"image {name}", files("images", damage, [3])))
    for kind, names in SINGLE.items():
        for name in names:
            plant = files(kind, array(maps[kind][name]), [3])
            found.append(Fault(kind, f"{name}, one", plant))
    for kind in ("depths", "normals"):
        for name, damage in ARRAYS.items():
            found.append(Fault(kind, f"map {name}", files(kind, damage, [3])))
        for name, values in MASKS.items():
            plant = files("masks", array(values), AMOUNTS["all"])
            found.append(Fault(kind, f"masks {name}", plant))
        found.append(Fault(kind, "masks of the next sample", of_next("masks")))
    for name, damage in IMAGES.items():
        found.append(Fault("labels", f"map {name}", files("labels", damage, [3])))
    for key in ("keypoints", "classes"):
        texts = {name: text.format(key=key) for name, text in YAML.items()}
        for name, text in {**texts, **(SKELETONS if key == "keypoints" else PARTS)}.items():
            found.append(Fault(key, name, write_yaml(text)))
    found += [Fault("shards", name, plant) for name, plant in shard_faults()]
    return found


def write_yaml(text: str) -> Plant:
    return lambda root: (root / "list.yaml").write_text(text) and None


REGIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "fractions": lambda a: {"segmentation": [[n / 90 for n in a["segmentation"][0]]]},
    "two points": lambda a: {"segmentation": [[1, 2, 3, 4]]},
    "flat": lambda a: {"segmentation": a["segmentation"][0]},
    "text": lambda a: {"segmentation": [[str(n) for n in a["segmentation"][0]]]},
    "null": lambda a: {"segmentation": [[None] * 8]},
    "NaN": lambda a: {"segmentation": [[float("nan"), *a["segmentation"][0][1:]]]},
    "runs of another size": lambda a: {"segmentation": {"size": [5, 5], "counts": [25]}},
    "runs of nothing": lambda a: {"segmentation": {"size": list(worlds.SIZE)}},
    "an unknown category": lambda a: {"category_id": 9},
    "an image that is not listed": lambda a: {"image_id": 99},
    "outside of the image": lambda a: {"segmentation": [[n + 1000 for n in a["segmentation"][0]]]},
}
SINGLE = {
    "labels": ["ignored", "an unknown id", "softened", "smaller", "of 16 bits", "in colors"],
    "depths": ["in millimeters", "constant", "one pixel of 1e30", "NaN", "zero", "smaller",
               "negative", "of three channels", "complex", "text", "flat"],
    "normals": ["all axes flipped", "red flipped", "green flipped", "blue flipped", "of OpenGL",
                "x and y exchanged", "half as long", "constant", "zero", "smaller", "NaN"],
}  # fmt: skip
