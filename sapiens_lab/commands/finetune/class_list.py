"""The classes of a folder of masks: those of a legend beside them, or the values that they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sapiens_lab.anatomy.parts import IGNORED, Parts
from sapiens_lab.atomic import write_text
from sapiens_lab.commands.finetune.legends import Legend, find_legend
from sapiens_lab.commands.finetune.request import Decision, Request, word
from sapiens_lab.data.arrays import read_labels
from sapiens_lab.data.checks.sampling import spread

_NUM_READ = 1000  # masks
_MAX_COLORS = 64  # more are an image or a mask that was resized with mixed colors
_FOLDER = "class_lists"  # below output_root
_NUM_SHOWN = 5


def find_classes(request: Request, masks: Sequence[Path]) -> Decision:
    """Decide the classes of masks.

    A list is written below ``output_root``, beside the runs that refer to it.

    Raises:
        ValueError: the masks hold more values or colors than classes can have, or contradict the
            legend; names a file.
    """
    legend = find_legend(request.root)
    if legend is not None and legend.is_list:
        parts = Parts.load(str(legend.path))
        text = f"{parts.num_classes} of {legend.path}: {_shown(parts.classes)}"
        return Decision(title="classes", text=text, words=(word("parts", legend.path),))
    ids, colors = _present(masks)
    content = _of_colors(colors, legend) if colors else _of_ids(ids, legend)
    path = _written(content, Path(str(request.value("output_root"))), request.root.resolve().name)
    names = [str(c["name"]) if isinstance(c, dict) else str(c) for c in content["classes"]]
    source = f"of {legend.path.name}" if legend is not None else "by the values in the masks"
    text = f"{len(names)} {source}: {_shown(names)}; parts={path}, a copy of which can be edited"
    return Decision(title="classes", text=text, words=(word("parts", path),))


def _present(masks: Sequence[Path]) -> tuple[list[int], list[str]]:
    """Return the ids of masks, or the colors of painted ones."""
    ids: set[int] = set()
    colors: set[int] = set()
    for index in spread(len(masks), _NUM_READ):
        values = read_labels(masks[index])
        if values.ndim == 3 and not (values[..., :1] == values).all():
            codes = values.astype(np.int64) @ np.array([65536, 256, 1])
            colors.update(np.unique(codes).tolist())
        else:
            ids.update(_whole(values, masks[index]))
        if len(colors) > _MAX_COLORS:
            raise ValueError(
                f"{masks[index]}: more than {_MAX_COLORS} colors, so the masks are images or were "
                "resized with mixed colors; save class ids, and resize them by nearest"
            )
    if colors:  # gray values of painted masks are colors too
        colors |= {value * 0x010101 for value in ids}
    return sorted(ids), [f"#{code:06x}" for code in sorted(colors)]


def _whole(values: NDArray[Any], path: Path) -> list[int]:
    found = np.unique(values)
    if found.size and (found[0] < 0 or found[-1] > 255):
        raise ValueError(f"{path} holds {found[-1]}; class ids in files are 0..255")
    return [int(value) for value in found]


def _of_ids(ids: Sequence[int], legend: Legend | None) -> dict[str, Any]:
    """Return the content of a class list for masks of ids."""
    named = dict(legend.names) if legend is not None else {}
    present = [i for i in ids if i != IGNORED or i in named or ids == [0, IGNORED]]
    if legend is not None and legend.is_from_one and max(present, default=0) == len(named):
        named = {0: "background", **{i + 1: name for i, name in named.items()}}
    values = sorted({*named, *present})
    if not values:
        raise ValueError("the masks hold the value 255 alone, which is ignored")
    is_dense = 2 * len(values) > max(values)
    if is_dense:
        values = list(range(max(values) + 1))
    classes = _distinct([_name(named, value, values) for value in values])
    content: dict[str, Any] = {"name": "own", "classes": classes}
    if not is_dense or IGNORED in values:
        content["merge"] = dict(zip(values, classes, strict=True))
    return content


def _name(named: dict[int, str], value: int, values: Sequence[int]) -> str:
    if value in named:
        return named[value]
    if len(values) == 2:
        return "background" if value == values[0] else "foreground"
    return "background" if value == 0 and not named else f"class_{value}"


def _of_colors(colors: Sequence[str], legend: Legend | None) -> dict[str, Any]:
    """Return the content of a class list for painted masks; black comes first."""
    named = {color: name for name, color in legend.colors.items()} if legend is not None else {}
    order = sorted({*named, *colors}, key=lambda color: (color != "#000000", color))
    if legend is not None:  # the legend's own order, then colors that it lacks
        order = [*named, *(color for color in order if color not in named)]
    names = [named.get(c, "background" if c == "#000000" else f"color_{c[1:]}") for c in order]
    pairs = zip(_distinct(names), order, strict=True)
    return {"name": "own", "classes": [{"name": n, "color": c} for n, c in pairs]}


def _distinct(names: Sequence[str]) -> list[str]:
    """Number repeated names."""
    return [n if names.index(n) == i else f"{n}_{i}" for i, n in enumerate(names)]


def _written(content: dict[str, Any], output_root: Path, title: str) -> Path:
    """Write a class list under a name that its content decides."""
    text = yaml.safe_dump({**content, "name": title}, sort_keys=False)
    path = output_root / _FOLDER / f"{title}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.yaml"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return path


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_NUM_SHOWN]) + (", ..." if len(names) > _NUM_SHOWN else "")
