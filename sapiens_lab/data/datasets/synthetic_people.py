"""Rendered people as a dataset: no download, exact annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from sapiens_lab.anatomy.parts import Parts
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.dataset import Dataset, PixelCounts
from sapiens_lab.data.fields import DepthMap, Image, Keypoints, LabelMap, NormalMap
from sapiens_lab.data.sample import Meta, Sample
from sapiens_lab.ranges import Count, ImageSize, Positive, Whole
from sapiens_lab.synthetic.files.cache import SceneCache, default_cache_dir
from sapiens_lab.synthetic.files.prepare import fill
from sapiens_lab.synthetic.people.landmarks import match_landmarks
from sapiens_lab.synthetic.people.scene import Scene
from sapiens_lab.synthetic.people.views import SPLITS, SceneSource, Split

Field = Literal["keypoints", "labels", "depth", "normal"]
_GB = 1e9


class SyntheticPeople(Dataset):
    """Random clothed people, one per image.

    Scene number ``i`` depends on seed, split and ``i`` alone, so a larger set begins with the
    smaller one, and no two splits share a scene.

    Args:
        num_scenes: how many.
        image_size: (height, width) of the images.
        split: which of the disjoint sets of scenes.
        seed: of all splits.
        skeleton: which keypoints, by name; those that the body does not have are unlabeled.
        fields: which annotations a sample carries.
        elevation_deg: range (low, high) of the angle at which cameras look down, as from a ceiling
            or a drone; by default most stand at eye level. Negative looks up.
        roll_deg: range of the cameras' rotation about the line of sight; by default a few degrees.
        cache: keep rendered scenes on disk.
        cache_dir: where; ``$SAPIENS_LAB_CACHE/synthetic`` or
            ``~/.cache/sapiens_lab/synthetic`` by default.
        max_cache_gb: bound on the cache folder [1e9 bytes].
        supersample: 2 for smooth edges in the image, 1 to render about twice as fast.

    Raises:
        ValueError: an argument makes no sense, the scenes would not fit into the cache, or the
            body has none of the skeleton's keypoints.
    """

    skeleton: Skeleton
    parts: Parts

    def __init__(
        self,
        *,
        num_scenes: Count,
        image_size: ImageSize,
        split: Split = "train",
        seed: Whole = 0,
        skeleton: str | Path | Skeleton = "coco17",
        fields: Sequence[Field] = ("keypoints",),
        elevation_deg: tuple[float, float] | None = None,
        roll_deg: tuple[float, float] | None = None,
        cache: bool = True,
        cache_dir: str | Path | None = None,
        max_cache_gb: Positive = 10.0,
        supersample: Literal[1, 2] = 2,
    ) -> None:
        if num_scenes < 1 or min(image_size) < 16:
            raise ValueError(
                f"num_scenes={num_scenes} must be at least 1 and image_size={tuple(image_size)} "
                "(height, width) at least 16 pixels"
            )
        if unknown := set(fields) - set(get_args(Field)):
            raise ValueError(f"unknown fields {sorted(unknown)}; choose from {get_args(Field)}")
        if split not in SPLITS:
            raise ValueError(f"split={split!r}; choose from {SPLITS}")
        self.skeleton = Skeleton.load(skeleton)
        self.parts = Parts.load("goliath28")  # what the renderer labels
        self.num_scenes = num_scenes
        self.fields = tuple(fields)
        self.split = split
        height, width = image_size
        self.source = SceneSource(
            image_size=(int(height), int(width)),
            seed=seed,
            split=SPLITS.index(split),
            supersample=supersample,
            elevation_deg=_range(elevation_deg),
            roll_deg=_range(roll_deg),
        )
        self.cache: SceneCache | None = None
        if cache:
            self._check_room(max_cache_gb)
            root = default_cache_dir() if cache_dir is None else Path(cache_dir).expanduser()
            self.cache = SceneCache(root=root, source=self.source, max_bytes=max_cache_gb * _GB)
        self._columns, self._known = match_landmarks(self.skeleton)
        self._ground_truth: dict[str, Any] | None = None

    def __len__(self) -> int:
        return self.num_scenes

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.num_scenes:
            raise IndexError(index)
        scene = self.scene(index)
        sample = Sample(
            image=Image(pixels=scene.rgb),
            bbox=scene.bbox,
            meta=Meta(
                id=index,
                image_id=index,
                path=self._path(index),
                size=self.source.image_size,
                bbox=scene.bbox,
            ),
        )
        mask = scene.mask
        if "keypoints" in self.fields:
            sample.fields["keypoints"] = self._keypoints(scene)
        if "labels" in self.fields:
            sample.fields["labels"] = LabelMap(
                ids=scene.parts, flip_indices=self.parts.flip_indices
            )
        if "depth" in self.fields:
            sample.fields["depth"] = DepthMap(depth=scene.depth, valid=mask)
        if "normal" in self.fields:
            sample.fields["normal"] = NormalMap(normal=scene.normal, valid=mask)
        return sample

    def scene(self, index: int) -> Scene:
        """Return everything about a scene."""
        return self.cache.load(index) if self.cache else self.source.render(index)

    def prepare(self, num_workers: int) -> None:
        """Render the scenes that the cache lacks, with a progress bar."""
        if self.cache:
            title = f"Rendering people ({self.split})"
            fill(self.cache, self.num_scenes, num_workers=num_workers, title=title)

    def count_pixels(self, limit: int | None = 200) -> PixelCounts:
        """Count the pixels of each class in the first scenes."""
        counts = np.zeros(256, np.int64)
        num_maps = self.num_scenes if limit is None else min(limit, self.num_scenes)
        for index in range(num_maps):
            counts += np.bincount(self.scene(index).parts.ravel(), minlength=256)
        return PixelCounts(counts, num_maps)

    def ground_truth(self) -> dict[str, Any]:
        """Return the annotations in COCO's format; areas are those of the masks."""
        if self._ground_truth is None:
            scenes = [self.scene(i) for i in range(self.num_scenes)]
            height, width = self.source.image_size
            self._ground_truth = {
                "images": [
                    {"id": i, "height": height, "width": width, "file_name": self._path(i)}
                    for i in range(self.num_scenes)
                ],
                "annotations": [self._annotation(i, scene) for i, scene in enumerate(scenes)],
                "categories": [
                    {
                        "id": 1,
                        "name": "person",
                        "keypoints": list(self.skeleton.keypoints),
                        "skeleton": [[a + 1, b + 1] for a, b in self.skeleton.edges],
                    }
                ],
            }
        return self._ground_truth

    def _keypoints(self, scene: Scene) -> Keypoints:
        xy = np.where(self._known[:, None], scene.keypoints[self._columns], 0)
        visible = np.where(self._known, scene.visible[self._columns], 0)
        return Keypoints(
            xy=xy.astype(np.float32),
            visible=visible.astype(np.uint8),
            flip_indices=self.skeleton.flip_indices,
        )

    def _annotation(self, index: int, scene: Scene) -> dict[str, Any]:
        points = self._keypoints(scene)
        flat = np.concatenate([points.xy, points.visible[:, None]], 1).astype(np.float64)
        flat[points.visible == 0] = 0
        x1, y1, x2, y2 = (float(v) for v in scene.bbox)
        return {
            "id": index,
            "image_id": index,
            "category_id": 1,
            "keypoints": flat.ravel().tolist(),
            "num_keypoints": int((points.visible > 0).sum()),
            "area": float(scene.mask.sum()),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "iscrowd": 0,
        }

    def _path(self, index: int) -> str:
        if self.cache:
            return str(self.cache.path(index))
        return f"rendered/{self.split}/{self.source.seed}/{index}"

    def _check_room(self, max_cache_gb: Positive) -> None:
        needed = self.num_scenes * self.source.bytes_per_scene / _GB
        if needed > max_cache_gb:
            raise ValueError(
                f"{self.num_scenes} scenes of {self.source.image_size} need about {needed:.1f} GB "
                f"but max_cache_gb={max_cache_gb:g}; raise it, take fewer or smaller scenes, or "
                "render on the fly with cache=false"
            )


def _range(ends: Sequence[float] | None) -> tuple[float, float] | None:
    if ends is None:
        return None
    low, high = (float(end) for end in ends)
    return low, high
