"""The files of a result: which there are, and how each is written.

Every kind has a folder of its own, so that no two files of one image can have one name. A file is
written whole or not at all.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sapiens_lab.atomic import write_bytes
from sapiens_lab.inference.results.depth import DepthResult
from sapiens_lab.inference.results.normal import NormalResult
from sapiens_lab.inference.results.parts import PartResult
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.results.result import MultiResult, Result, encode_png
from sapiens_lab.visualize.image import RGBImage, encode_jpeg

Kind: TypeAlias = Literal["image", "overlay", "json", "masks", "depth", "normals", "npy", "crops"]
KINDS: tuple[Kind, ...] = get_args(Kind)
USUAL: dict[str, tuple[Kind, ...]] = {
    "pose": ("image", "json"),
    "segmentation": ("image", "json", "masks"),
    "depth": ("image", "json", "depth"),
    "normal": ("image", "json", "normals"),
}
_COMPRESSION = 2  # of PNG, 1 to 9: more takes far longer and gains little
_QUALITY = 92  # of JPEG
_LEVELS = 65535  # of 16 bits
_MILLIMETER = 0.001


def usual_kinds(tasks: Sequence[str]) -> tuple[Kind, ...]:
    """Return the kinds of files that are written for these tasks where nothing else is asked."""
    wanted = {kind for task in tasks for kind in USUAL.get(task, ("image", "json"))}
    return tuple(kind for kind in KINDS if kind in wanted)


def check_kinds(kinds: Sequence[str]) -> tuple[Kind, ...]:
    """Return the kinds, in their order.

    Raises:
        ValueError: one is not known, or there is none.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown or not kinds:
        raise ValueError(
            f"{', '.join(unknown) or 'nothing'} cannot be saved; choose from {', '.join(KINDS)}"
        )
    return tuple(kind for kind in KINDS if kind in kinds)


def save(
    results: Sequence[Result],
    folder: Path,
    kinds: Sequence[Kind] | None = None,
    *,
    name: str | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the files of one image.

    Args:
        results: of the image, one for each task.
        folder: is made.
        kinds: what to write; what a task does not have is left out.
        name: of the files, without a suffix; may contain folders. That of the image by default.
        overwrite: replace what is there.

    Returns:
        The files; the JSON comes last.

    Raises:
        FileExistsError: one of them exists, and nothing was written.
        WriteError: there is no room or no permission.
    """
    name = name or Path(results[0].path).stem
    chosen = usual_kinds([r.task for r in results]) if kinds is None else check_kinds(kinds)
    if not overwrite:
        for kind in chosen:
            for path in (folder / kind).glob(f"{_escaped(name)}.*"):
                raise FileExistsError(f"{path} exists; choose another folder or name")
    written = []
    for relative, content in contents(results, chosen, name):
        write_bytes(folder / relative, content, is_durable=False)
        written.append(folder / relative)
    return written


def contents(
    results: Sequence[Result], kinds: Sequence[Kind], name: str
) -> Iterator[tuple[Path, bytes]]:
    """Yield the files of one image: path below the folder, and content. The JSON comes last."""
    several = len(results) > 1
    if "image" in kinds:
        together = MultiResult({r.task: r for r in results}) if several else results[0]
        yield Path("image", f"{name}.jpg"), encode_jpeg(together.panels(), _QUALITY)
    for result in results:
        if "overlay" in kinds:
            yield (
                Path("overlay", f"{name}.{result.task}.jpg"),
                encode_jpeg(result.overlay(), _QUALITY),
            )
        for kind in kinds:
            yield from _of_task(result, kind, name)
    if "json" in kinds:
        summary: dict[str, Any] = {
            "image": results[0].path,
            "height": results[0].image.shape[0],
            "width": results[0].image.shape[1],
        }
        summary |= {result.task: result.to_json() for result in results}
        yield Path("json", f"{name}.json"), _json(summary)


def _of_task(result: Result, kind: Kind, name: str) -> Iterator[tuple[Path, bytes]]:
    """Yield the files that only one task has."""
    if kind == "masks" and isinstance(result, PartResult):
        yield Path("masks", f"{name}.png"), palette_png(result)
    elif kind == "depth" and isinstance(result, DepthResult):
        yield Path("depth", f"{name}.png"), depth_png(result)
        yield Path("depth", f"{name}.npy"), _npy(result.depth)
    elif kind == "normals" and isinstance(result, NormalResult):
        yield Path("normals", f"{name}.png"), encode_png(result.overlay())
        yield Path("normals", f"{name}.npy"), _npy(result.normal)
    elif kind == "npy":
        for key, array in result.to_numpy().items():
            yield Path("npy", f"{name}.{key}.npy"), _npy(array)
    elif kind == "crops" and isinstance(result, PoseResult):
        for i, crop in enumerate(_crops(result)):
            yield Path("crops", f"{name}.{i}.jpg"), encode_jpeg(crop, _QUALITY)


def palette_png(result: PartResult) -> bytes:
    """Return class ids as a palette PNG: every viewer shows colors, every program reads ids.

    The names of the classes, in the order of their ids, are a JSON list in the text chunk
    ``classes``.
    """
    size = (result.labels.shape[1], result.labels.shape[0])
    image = Image.frombytes("P", size, np.ascontiguousarray(result.labels).tobytes())
    palette = np.zeros((256, 3), np.uint8)
    palette[: result.parts.num_classes] = result.parts.colors
    image.putpalette(palette.tobytes())
    return _png(image, {"classes": json.dumps(list(result.parts.classes))})


def depth_png(result: DepthResult) -> bytes:
    """Return depth as 16-bit PNG: ``depth = offset + scale * value``, 0 where it is not finite.

    Both numbers, the unit and the kind are a JSON object in the text chunk ``depth``. Metric depth
    is in millimeters, ``offset`` 0 and ``scale`` 0.001, as long as it fits into 65 m.
    """
    finite = np.isfinite(result.depth)
    low, high = (result.depth[finite].min(), result.depth[finite].max()) if finite.any() else (0, 1)
    offset, scale = float(low), max(float(high - low), 1e-9) / (_LEVELS - 1)
    offset -= scale  # the value 0 is taken
    if result.kind == "metric" and low > 0 and high <= _MILLIMETER * _LEVELS:
        offset, scale = 0.0, _MILLIMETER
    values = np.zeros(result.depth.shape, np.uint16)
    levels = (result.depth[finite] - offset) / scale
    values[finite] = np.clip(np.rint(levels), 1, _LEVELS).astype(np.uint16)
    facts = {
        "kind": result.kind,
        "unit": "m" if result.kind == "metric" else "relative, larger is farther",
        "offset": offset,
        "scale": scale,
        "invalid": 0,
    }
    return _png(Image.fromarray(values), {"depth": json.dumps(facts)})


def _json(values: Any) -> bytes:
    """Return values as JSON, a line each; rows of numbers stay in one line."""
    text = json.dumps(values, indent=1)
    flat = re.sub(r"\[[\s\d.,eE+-]*\]", lambda match: re.sub(r"\s+", " ", match[0]), text)
    return (flat.replace("[ ", "[").replace(" ]", "]") + "\n").encode()


def _png(image: Image.Image, texts: dict[str, str]) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=_COMPRESSION)
    return buffer.getvalue()


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array))
    return buffer.getvalue()


def _crops(result: PoseResult) -> Iterator[RGBImage]:
    """Yield the part of the image in the box of every person."""
    height, width = result.image.shape[:2]
    for x1, y1, x2, y2 in result.boxes.xyxy:
        rows = slice(max(0, int(y1)), min(height, int(np.ceil(y2)) + 1))
        columns = slice(max(0, int(x1)), min(width, int(np.ceil(x2)) + 1))
        yield result.image[rows, columns]


def _escaped(name: str) -> str:
    """Return a name as a pattern of ``glob`` that matches only itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
