"""``PoseResult``: the keypoints of the people in an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.anatomy.skeleton import Skeleton
from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.results.result import Result
from sapiens_lab.metrics.oks import person_scores
from sapiens_lab.visualize.image import RGBImage
from sapiens_lab.visualize.pose import draw_pose

if TYPE_CHECKING:
    import supervision

SURE = 0.3  # keypoints with lower scores are not drawn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoseResult(Result):
    """``N`` people with ``K`` keypoints each, in pixels of the image."""

    task: ClassVar[str] = "pose"

    keypoints: NDArray[np.float32]  # (N, K, 2) xy
    scores: NDArray[np.float32]  # (N, K) height of the heatmap's peak, about 0..1
    boxes: Boxes  # (N,), of the detector, or the whole image
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.keypoints)

    def __repr__(self) -> str:
        people = "1 person" if len(self) == 1 else f"{len(self)} people"
        sure = int((self.scores > SURE).sum())
        return (
            f"{self._title()}: {people} with {self.skeleton.num_keypoints} keypoints of "
            f"{self.skeleton.name}, {sure} above {SURE})"
        )

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Return ``keypoints (N, K, 3)``, x, y and score, and ``boxes (N, 5)``, xyxy and score."""
        return {
            "keypoints": np.concatenate([self.keypoints, self.scores[..., None]], -1),
            "boxes": np.concatenate([self.boxes.xyxy, self.boxes.scores[:, None]], -1),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the people: box, and the place and score of every keypoint by its name."""
        names = self.skeleton.keypoints
        return {
            "skeleton": self.skeleton.name,
            "people": [
                {
                    "box": _rounded(box),
                    "box_score": _rounded(score),
                    "keypoints": {
                        name: [*_rounded(xy), _rounded(s)]
                        for name, xy, s in zip(names, points, scores, strict=True)
                    },
                }
                for box, score, points, scores in zip(
                    self.boxes.xyxy, self.boxes.scores, self.keypoints, self.scores, strict=True
                )
            ],
        }

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Return the people as COCO's keypoint results, which its evaluation reads.

        ``score`` is that of the box times the mean score of the keypoints above 0.2, as when AP is
        measured.
        """
        scores, box_scores = (v.astype(np.float64) for v in (self.scores, self.boxes.scores))
        totals = person_scores(scores, box_scores, 0.2)
        points = self.to_numpy()["keypoints"]
        return [
            {
                "image_id": image_id,
                "category_id": 1,
                "keypoints": _rounded(person.ravel()),
                "bbox": _rounded([*box[:2], *(box[2:] - box[:2])]),
                "score": float(total),
            }
            for person, box, total in zip(points, self.boxes.xyxy, totals, strict=True)
        ]

    def to_supervision(self) -> supervision.KeyPoints:
        """Return the people for the library ``supervision``, which must be installed."""
        import supervision

        count = len(self)
        return supervision.KeyPoints(
            xy=self.keypoints.astype(np.float32),
            keypoint_confidence=self.scores.astype(np.float32),
            class_id=np.zeros(count, int),
        )

    def overlay(self) -> RGBImage:
        """Return the skeletons over the image; keypoints with a score up to 0.3 are left out."""
        canvas = self.image
        for points, scores in zip(self.keypoints, self.scores, strict=True):
            visible = np.where(scores > SURE, 2, 0)
            canvas = draw_pose(canvas, points, visible, skeleton=self.skeleton)
        return canvas


def _rounded(values: Any) -> Any:
    """Return numbers with four digits after the point: enough, and files stay small."""
    return np.asarray(values, np.float64).round(4).tolist()
