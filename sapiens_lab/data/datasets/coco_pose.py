"""People with keypoints in COCO's format: 17, 133 or any number of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.loading import read_json, uncollected
from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.data.checks.annotations import Annotations
from sapiens_lab.data.checks.finding import OnError, settle
from sapiens_lab.data.checks.json_files import check_detections
from sapiens_lab.data.checks.keypoints import Columns, check_values
from sapiens_lab.data.checks.sampling import spread
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.coco_checks import check_file, stated_size
from sapiens_lab.data.datasets.coco_ground_truth import AnnotatedPeople, complete_annotation
from sapiens_lab.data.datasets.coco_people import (
    People,
    detected_people,
    read_people,
    wanted_people,
)
from sapiens_lab.data.datasets.coco_points import find_columns
from sapiens_lab.data.datasets.image_checks import check_images
from sapiens_lab.data.discovery import coco
from sapiens_lab.data.discovery.splits import Split, divide
from sapiens_lab.data.fields import Image, Keypoints
from sapiens_lab.data.images import read_image
from sapiens_lab.data.sample import Meta, Sample
from sapiens_lab.ranges import Fraction, Within


class CocoPose(Dataset):
    """One sample a person, in the source frame.

    Args:
        root: folder of the dataset. Annotations and images are found in COCO's own layout, in
            Roboflow's, or where a folder holds one JSON file; what was found is logged.
        split: ``train`` or ``val``. If one file serves both, its images are divided by their
            names, always in the same way.
        skeleton: the keypoint set. Keypoints of a larger file are selected by their names.
        annotation_file: JSON file, absolute or relative to ``root``.
        image_dir: folder of the images, absolute or relative to ``root``.
        box_file: detections in COCO's result format, used instead of the annotated boxes.
        min_box_score: detections below it are left out.
        val_fraction: fraction of the images that validates if one file serves both splits;
            ``None`` divides nothing.
        group_by: what of them stays on one side: ``folder``, or a regular expression on the
            images' names whose first group, or whole match, is the group.
        on_error: ``skip`` logs images that cannot be read, and people without a box, and goes
            on without them.

    Raises:
        FileNotFoundError: no folder, annotations or images; says where it looked.
        ValueError: the annotations are not what they should be; names them and the remedy.
    """

    skeleton: Skeleton

    @uncollected()
    def __init__(
        self,
        root: str | Path,
        *,
        split: Split,
        skeleton: str | Skeleton,
        annotation_file: str | None = None,
        image_dir: str | None = None,
        box_file: str | None = None,
        min_box_score: Fraction = 0.0,
        val_fraction: Within | None = 0.1,
        group_by: str | None = None,
        on_error: OnError = "raise",
    ) -> None:
        self.skeleton = Skeleton.load(skeleton)
        self.root = Path(root)
        self.on_error = on_error
        wanted = wanted_people(self.skeleton)
        file = coco.find_annotations(root, split, wanted, given=annotation_file)
        self._columns = find_columns(file.content, self.skeleton)
        self._columns.report()
        self.annotation_file = file.path
        self.image_dir = coco.find_image_folder(root, file, split, given=image_dir)
        check_file(file)
        images = file.content["images"]
        self._names = [coco.file_name(image) for image in images]
        chosen = set(self._names)
        if file.is_whole:
            chosen = set(divide(self._names, split, val_fraction, group_by))
        self._image_ids = [_as_int(image["id"], i) for i, image in enumerate(images)]
        self._image_index = {
            image["id"]: i for i, image in enumerate(images) if self._names[i] in chosen
        }
        sizes = [stated_size(image) or (0, 0) for image in images]
        self._sizes = np.array(sizes, np.float32)  # (images, 2) stated height, width
        self._box_file = None if box_file is None else self.root / box_file
        self._people = self._read(file, min_box_score)
        self._leave_out_missing()
        self._check_images(images)

    def __len__(self) -> int:
        return len(self._people.ids)

    def __getitem__(self, index: int) -> Sample:
        """Return a person.

        Raises:
            CorruptImageError, FileNotFoundError: the image cannot be read; names it.
            ValueError: it has another size than the annotations state.
        """
        people = self._people
        image_index = int(people.image_index[index])
        path = self.image_dir / self._names[image_index]
        pixels = read_image(path)
        self._check_size(image_index, pixels.shape[:2], path)
        points = people.points[index]
        keypoints = Keypoints(
            xy=points[:, :2],
            visible=points[:, 2].astype(np.uint8),
            flip_indices=self.skeleton.flip_indices,
        )
        return Sample(
            image=Image(pixels=pixels),
            bbox=people.boxes[index],
            meta=Meta(
                id=int(people.ids[index]),
                image_id=self._image_ids[image_index],
                path=str(path),
                size=(pixels.shape[0], pixels.shape[1]),
                bbox=people.boxes[index],
                bbox_score=float(people.scores[index]),
            ),
            fields={"keypoints": keypoints},
        )

    def image_paths(self) -> Sequence[Path]:
        """Return the images' files, each once."""
        used = np.unique(self._people.image_index).tolist()
        return [self.image_dir / self._names[i] for i in used]

    def annotation_paths(self) -> Sequence[Path]:
        """Return the annotation file, and that of the boxes."""
        return [self.annotation_file] + ([self._box_file] if self._box_file else [])

    def annotations(self) -> Annotations | None:
        """Return all annotated people; ``None`` if their boxes are those of a detector."""
        if self._box_file is not None:
            return None
        _, index = np.unique(self._people.image_index, return_inverse=True)
        return Annotations(
            boxes=self._people.boxes,
            points=self._people.points,
            image_index=index,
            name=self._name_person,
        )

    def image_id(self, index: int) -> int:
        """Return the id of a person's image."""
        return self._image_ids[int(self._people.image_index[index])]

    def ground_truth(self) -> dict[str, Any]:
        """Return all annotated people of this split, crowds included, as a COCO dictionary."""
        content = read_json(self.annotation_file)
        return {
            "images": [{"id": self._image_ids[i]} for i in self._image_index.values()],
            "categories": content.get("categories") or [{"id": 1, "name": "person"}],
            "annotations": AnnotatedPeople(
                self._complete(content["annotations"]), skeleton=self.skeleton
            ),
        }

    def _complete(self, annotations: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the annotations of this split, numbered by their places."""
        for i, source in enumerate(annotations):
            index = self._image_index.get(source["image_id"])
            if index is None:
                continue
            complete = complete_annotation({**source, "id": i}, self._columns)
            if complete is not None:
                yield {**complete, "image_id": self._image_ids[index]}

    def _read(self, file: coco.CocoFile, min_box_score: float) -> People:
        path = self._box_file
        if path is None:
            return read_people(
                file,
                self._columns,
                image_index=self._image_index,
                on_error=self.on_error,
            )
        if not path.is_file():
            raise FileNotFoundError(f"there is no detection file {path} (data.val.box_file)")
        detections = read_json(path)
        settle(check_detections(detections), source=path)
        return detected_people(
            detections, self.skeleton, image_index=self._image_index, min_score=min_box_score
        )

    def _leave_out_missing(self) -> None:
        names = np.array(self._names)[self._people.image_index]
        missing = coco.report_missing(self.image_dir, set(names.tolist()), on_error=self.on_error)
        if missing:
            self._keep(~np.isin(names, list(missing)))
            self._image_index = {
                k: i for k, i in self._image_index.items() if self._names[i] not in missing
            }

    def _check_size(self, image_index: int, size: tuple[int, ...], path: Path) -> None:
        stated = tuple(self._sizes[image_index].astype(int).tolist())
        if any(stated) and stated != size:
            raise ValueError(
                f"{path} is {size[0]} x {size[1]} (height x width) but {self.annotation_file} "
                f"states {stated[0]} x {stated[1]}; put the original image back"
            )

    def _check_images(self, images: Sequence[dict[str, Any]]) -> None:
        used = np.unique(self._people.image_index).tolist()
        chosen = [used[i] for i in spread(len(used))]
        looked = check_images(
            [self.image_dir / self._names[i] for i in chosen],
            stated=[stated_size(images[i]) for i in chosen],
            source=self.annotation_file,
            on_error=self.on_error,
        )
        sizes = np.full((len(images), 2), np.inf)
        for place, facts in zip(chosen, looked.facts, strict=True):
            if facts is not None and stated_size(images[place]) is None:
                sizes[place] = facts.size
        self._check_unstated(sizes)

    def _check_unstated(self, sizes: NDArray[np.float64]) -> None:
        """Check keypoints against the sizes of images that the file does not state."""
        places = np.flatnonzero(np.isfinite(sizes[self._people.image_index]).all(1))
        if not len(places):
            return
        index, points = self._people.image_index[places], self._people.points[places]
        faults = check_values(
            Columns.of(points.astype(np.float64)),
            sizes[index],
            name=lambda i: self._name_person(int(places[i])),
        )
        bad = settle(faults, source=self.annotation_file, on_error=self.on_error)
        kept = np.ones(len(self), bool)
        kept[places[bad]] = False
        self._keep(kept)

    def _name_person(self, i: int) -> str:
        return f"id {self._people.ids[i]} ({self._names[int(self._people.image_index[i])]})"

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        columns = {name: getattr(self._people, name)[kept] for name in People.__slots__}
        self._people = People(**columns)


def _as_int(image_id: Any, index: int) -> int:
    return image_id if isinstance(image_id, int) else index
