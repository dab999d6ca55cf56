"""``People``: the boxes of every frame in turn, found or followed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.detect.detector import Detector
from sapiens_lab.inference.smooth import PointSmoother
from sapiens_lab.inference.stages import DETECT, READ, Stages
from sapiens_lab.inference.track import Tracker
from sapiens_lab.inference.video.reading import Video, VideoFrame
from sapiens_lab.inference.video.settings import VideoSettings


class People:
    """Gives frames their boxes and the numbers of their people.

    Args:
        detector: finds them.
        settings: how often, and whether boxes are smoothed.
        stages: where the time is noted.
    """

    def __init__(self, detector: Detector, settings: VideoSettings, stages: Stages) -> None:
        self.detector, self.settings, self.stages = detector, settings, stages
        self.tracker = Tracker() if settings.follows_people else None
        self.smoother = PointSmoother(min_cutoff_hz=settings.cutoff_hz, beta=settings.beta)
        self._count = 0

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """Return a frame with its boxes; frames come in order."""
        with self.stages.timed(READ):
            pixels = frame.read()
        boxes, ids = self._find(pixels, frame)
        if ids is not None and self.settings.smooth:
            boxes = self.smoother.boxes(boxes, ids, frame.time_s)
        return replace(
            frame,
            read=lambda: pixels,
            boxes=boxes,
            track_ids=None if ids is None else tuple(ids),
        )

    def _find(self, pixels: NDArray[np.uint8], frame: VideoFrame) -> tuple[Boxes, list[int] | None]:
        number, self._count = self._count, self._count + 1
        if self.tracker is not None and number % self.settings.detect_every:
            return self.tracker.expected(frame.time_s)
        with self.stages.timed(DETECT):
            boxes = self.detector(pixels, frame.name)
        if self.tracker is None:
            return boxes, None
        return boxes, self.tracker.update(boxes, frame.time_s)


def with_people(video: Video, people: People | None, stages: Stages) -> Iterator[VideoFrame]:
    """Yield the frames of a video, with their people where someone looks for them."""
    frames = video.frames()
    while True:
        with stages.timed(READ):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame if people is None else people(frame)
