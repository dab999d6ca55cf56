"""Change files at random and read them, for as long as you like.

python -m tests.security.fuzz --seconds 120 [--seed 0] [--what weights|data]

Starts from good files of every layout and from the hostile ones. Changes bytes, numbers, lengths
and opcodes, also inside the records of archives, whose checksums are then made right. Any answer
but a value or a ValueError is a fault, and so are 1 GB or 10 s. Faulty files are kept.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import struct
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from sapiens_lab.weights.reading import read_content
from tests.security.hostile_data import cases as data_cases
from tests.security.hostile_weights import Case, cases
from tests.security.worker import read, status
from tests.security.zips import Entry, write_zip

NUMBERS = [0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0xFFFF, 1 << 31, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1]
OPCODES = bytes(range(0x28, 0x7E)) + bytes(range(0x80, 0x99))
MAX_FILE = 200_000  # larger ones are slow to change and nothing new


def data_seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Return good and hostile images, arrays and annotations with their suffixes."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    images = [(suffix, pixels) for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp")]
    images += [(".png", pixels.astype(np.uint16) * 99), (".tif", pixels * np.float32(1))]
    found = [(suffix, cv2.imencode(suffix, image)[1].tobytes()) for suffix, image in images]
    palette, array = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).quantize(5).save(palette, "PNG")
    np.save(array, pixels * np.float32(1))
    skeleton = {"categories": [{"name": "x", "keypoints": ["a", "left_b", "right_b"]}]}
    found += [(".png", palette.getvalue()), (".npy", array.getvalue())]
    found += [(".json", json.dumps(skeleton).encode()), (".yaml", b"keypoints: [a, {name: b}]\n")]
    return found + [(path.suffix, content) for path, content in hostile(data_cases(), folder)]


def hostile(found: Mapping[str, Case], folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Write hostile files and return the small ones."""
    for name, case in found.items():
        path = folder / name
        case.write(path, folder)
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_FILE:
            yield path, path.read_bytes()


def weight_seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Return good and hostile files of weights."""
    state = {
        "state_dict": {"a": torch.ones(3, 2).t(), "b": torch.zeros(2, dtype=torch.float16)},
        "meta": {"epoch": 3, "names": ("x", 1.5, None), "set": {1}, "size": torch.Size([1])},
        "optimizer": torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]).state_dict(),
    }
    found = [save({"a": torch.ones(3, 2), "b": torch.zeros(4)})]
    for protocol in (2, 4, 5):
        for is_zip in (True, False):
            buffer = io.BytesIO()
            torch.save(
                state, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip
            )
            found.append(buffer.getvalue())
    named = {f"{name}.pth": case for name, case in cases().items()}
    return [(".pth", content) for content in found] + [
        (".pth", content) for _, content in hostile(named, folder)
    ]


def changed(content: bytes, chance: random.Random) -> bytes:
    """Return bytes with a few changes."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        place = chance.randrange(len(data) + 1)
        kind = chance.randrange(7)
        if kind == 0 and data:
            data[min(place, len(data) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            form = chance.choice(("<B", "<H", "<I", "<Q"))
            number = chance.choice(NUMBERS) % (1 << 8 * struct.calcsize(form))
            raw = struct.pack(form, number)
            data[place : place + len(raw)] = raw
        elif kind == 2:
            data[place : place + chance.choice((1, 2, 4, 30))] = b""
        elif kind == 3:
            data[place:place] = bytes([chance.choice(OPCODES)])
        elif kind == 4:
            start = chance.randrange(len(data) + 1)
            data[place:place] = data[start : start + chance.choice((1, 5, 40))]
        elif kind == 5:
            data[place : place + 1] = bytes([chance.choice(OPCODES)])
        else:
            number = str(chance.choice((-1, 0, 1 << 40, 1 << 70))).encode()
            data[place : place + 1] = number
    return bytes(data)


def changed_inside(content: bytes, path: Path, chance: random.Random) -> bytes:
    """Return an archive one of whose records was changed, with the right checksum."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            records = [(item.filename, file.read(item)) for item in file.infolist()]
    except Exception:  # a hostile one; zipfile may fail in any way
        return changed(content, chance)
    if not records or sum(len(record) for _, record in records) > MAX_FILE:
        return changed(content, chance)
    chosen = max(range(len(records)), key=lambda i: chance.random() * (1 + len(records[i][1])))
    records[chosen] = (records[chosen][0], changed(records[chosen][1], chance))
    write_zip(path, [Entry(name=name, content=record) for name, record in records])
    return path.read_bytes()


def main() -> None:
    """Change and read until the time is over; exit with the number of faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", choices=("weights", "data"), default="weights")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    answers: Counter[str] = Counter()
    kept = Path(tempfile.mkdtemp(prefix="fuzz_"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool = (weight_seeds if arguments.what == "weights" else data_seeds)(folder)
        end = time.monotonic() + arguments.seconds
        while time.monotonic() < end:
            suffix, content = chance.choice(pool)
            path = folder / f"changed{suffix}"
            inside = content[:2] == b"PK" and chance.random() < 0.8
            path.write_bytes(
                changed_inside(content, path, chance) if inside else changed(content, chance)
            )
            Path("/proc/self/clear_refs").write_text("5")
            before, start = status("VmRSS"), time.perf_counter()
            try:
                value = read_content(path) if suffix == ".pth" else read(path)
                answer = "refused" if str(value).startswith("refused") else "read"
            except ValueError as error:
                answer = "refused" if path.name in str(error) else "refused without a name"
            except BaseException:
                answer = "fault"
                traceback.print_exc()
            if time.perf_counter() - start > 10:
                answer = "too slow"
            if status("VmHWM") - before > 1 << 30:
                answer = "too large"
            answers[answer] += 1
            if answer not in ("read", "refused"):
                (kept / f"{sum(answers.values())}{suffix}").write_bytes(path.read_bytes())
    print(
        json.dumps({"what": arguments.what, "seed": arguments.seed, **answers, "kept": str(kept)})
    )
    sys.exit(sum(answers.values()) - answers["read"] - answers["refused"])


if __name__ == "__main__":
    main()
