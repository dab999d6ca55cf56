"""The keypoint set that an annotation file names, as a shipped one where it is the same."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.commands.finetune.request import Decision, Request, word
from sapiens_lab.data.discovery.coco import CocoFile

_NUM_SHOWN = 4


def find_skeleton(request: Request, file: CocoFile) -> Decision:
    """Decide the keypoint set of the data."""
    if any("face_kpts" in a for a in file.content["annotations"][:100]):
        name = "wholebody133"
        text = "133 points, shipped as wholebody133: the file has face, hands and feet"
        return Decision(title="skeleton", text=text, words=(word("skeleton", name),))
    return describe_skeleton(str(file.path))


def describe_skeleton(source: str) -> Decision:
    """Decide the keypoint set of a file, or the shipped one that it is."""
    own = Skeleton.load(source)
    for name in shipped_skeletons():
        if Skeleton.load(name).keypoints == own.keypoints:
            text = f"{own.num_keypoints} points, those of the shipped {name}"
            return Decision(title="skeleton", text=text, words=(word("skeleton", name),))
    names = _shown(own.keypoints)
    text = f"{own.num_keypoints} points of {Path(source).name}: {names}; {_sides(own)}"
    return Decision(title="skeleton", text=text, words=(word("skeleton", source),))


def shipped_skeletons() -> list[str]:
    """Return the names of the keypoint sets that the package ships."""
    files: list[Any] = sorted(
        resources.files("sapiens_lab.anatomy").iterdir(), key=lambda f: f.name
    )
    yamls = [f for f in files if f.name.endswith(".yaml")]
    return [f.name[:-5] for f in yamls if "\nkeypoints:" in f.read_text()]


def _sides(skeleton: Skeleton) -> str:
    """Say which points a flip exchanges."""
    names = skeleton.keypoints
    if skeleton.flip_indices is None:
        return "left and right are not known, so nothing is flipped (flip_pairs in a YAML)"
    pairs = [f"{names[i]} - {names[j]}" for i, j in enumerate(skeleton.flip_indices) if j > i]
    return f"{len(pairs)} left/right pairs by name: {_shown(pairs, 2)}"


def _shown(names: Sequence[str], count: int = _NUM_SHOWN) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
