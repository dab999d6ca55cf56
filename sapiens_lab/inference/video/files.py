"""What ``sapiens predict`` leaves of a video: overlays as videos, keypoints as JSON, maps by frame.

The kinds are those of images: ``image`` and ``overlay`` become a video each, ``json`` one file for
all frames and one of COCO's keypoint results, and the others a file for every frame.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from sapiens_lab.atomic import WriteError, replacing, write_bytes
from sapiens_lab.inference.pipeline import OF_ONE_IMAGE
from sapiens_lab.inference.results.files import Kind, contents
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.results.result import MultiResult, Result
from sapiens_lab.inference.stages import WRITE, Stages
from sapiens_lab.inference.video.predicting import FrameResult
from sapiens_lab.inference.video.reading import Video
from sapiens_lab.inference.video.settings import VideoSettings
from sapiens_lab.inference.video.writing import VideoWriter, writing
from sapiens_lab.visualize.image import RGBImage, draw_text, text_width

USUAL: tuple[Kind, ...] = ("overlay", "json")
_AS_VIDEO = ("image", "overlay")
_WAITING = 2  # frames that wait to be written


def save_video(
    frames: Iterator[FrameResult],
    video: Video,
    root: Path,
    key: str,
    *,
    kinds: Sequence[Kind] = USUAL,
    settings: VideoSettings,
    stages: Stages,
    advance: Callable[[], object] = lambda: None,
) -> list[Path]:
    """Write the files of a video as its results come, and return them.

    Args:
        frames: of ``predict_video``.
        video: where they come from.
        root: folder of all results.
        key: name of the files.
        kinds: of files.
        settings: of the video.
        stages: where the time of drawing and encoding is noted.
        advance: called after each frame.

    Raises:
        ValueError: the video is damaged; the files hold the frames before that.
        WriteError: there is no room or no permission; no file is left half written.
    """
    failure: Exception | None = None
    with ExitStack() as stack:
        files = VideoFiles(stack, video, root, key, kinds, settings, stages)
        thread = stack.enter_context(ThreadPoolExecutor(1))
        waiting: deque[Future[None]] = deque()
        try:
            for frame in frames:
                waiting.append(thread.submit(files.add, frame))
                if len(waiting) > _WAITING:
                    waiting.popleft().result()
                advance()
        except WriteError:
            raise
        except OF_ONE_IMAGE as error:
            failure = error
        for left in waiting:
            left.result()
        files.finish()
    if failure is not None:
        raise failure
    return files.written


class VideoFiles:
    """The files of one video while they are written.

    Args:
        stack: closes them: what it leaves without an error takes its place.
        video: the source.
        root: folder of all results.
        key: name of the files.
        kinds: of files.
        settings: of the video.
        stages: where the time is noted.
    """

    def __init__(
        self,
        stack: ExitStack,
        video: Video,
        root: Path,
        key: str,
        kinds: Sequence[Kind],
        settings: VideoSettings,
        stages: Stages,
    ) -> None:
        self._stages = stages
        self._stack, self._video, self._root, self._key = stack, video, root, key
        self._kinds, self._settings = kinds, settings
        self._writers: dict[Path, VideoWriter] = {}
        self._lists: dict[Path, JsonList] = {}
        self._last_s = 0.0
        self.written: list[Path] = []

    def add(self, frame: FrameResult) -> None:
        """Write a frame."""
        with self._stages.timed(WRITE):
            self._add(frame)

    def _add(self, frame: FrameResult) -> None:
        self._last_s = frame.time_s
        for relative, image in _images(frame, self._kinds, self._key):
            self._writer(self._root / relative, image).add(image, frame.time_s)
        if "json" in self._kinds:
            self._list("json").add([_summary(frame)])
            if any(isinstance(result, PoseResult) for result in frame.results):
                self._list("coco_keypoints.json").add(coco_rows(frame))
        per_frame = [k for k in self._kinds if k not in (*_AS_VIDEO, "json")]
        name = f"{self._key}/{frame.index:06d}"
        for relative, content in contents(frame.results, per_frame, name):
            write_bytes(self._root / relative, content, is_durable=False)

    def finish(self) -> None:
        """Write what is held; the files take their places when the stack closes."""
        for writer in self._writers.values():
            writer.finish(self._last_s + float(self._settings.stride / self._video.rate))
        for rows in self._lists.values():
            rows.finish()

    def _writer(self, path: Path, image: RGBImage) -> VideoWriter:
        if path not in self._writers:
            opened = writing(
                path,
                (image.shape[0], image.shape[1]),
                rate=self._video.rate / self._settings.stride,
                time_base=self._video.time_base,
                sound=self._video.audio,
                settings=self._settings,
            )
            self._writers[path] = self._stack.enter_context(opened)
            self.written.append(path)
        return self._writers[path]

    def _list(self, suffix: str) -> JsonList:
        path = self._root / "json" / f"{self._key}.{suffix}"
        if path not in self._lists:
            self._lists[path] = JsonList(self._stack.enter_context(replacing(path)))
            self.written.append(path)
        return self._lists[path]


class JsonList:
    """A JSON list that is written row by row, however long it becomes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._separator = file, b"\n"
        file.write(b"[")

    def add(self, rows: Sequence[Any]) -> None:
        """Write rows, a line each."""
        for row in rows:
            self._file.write(self._separator + json.dumps(row, separators=(",", ":")).encode())
            self._separator = b",\n"

    def finish(self) -> None:
        """Write the end."""
        self._file.write(b"\n]\n")


def coco_rows(frame: FrameResult) -> list[dict[str, Any]]:
    """Return COCO's keypoint results of a frame: its index is the image's, with time and track."""
    rows: list[dict[str, Any]] = []
    for result in frame.results:
        if not isinstance(result, PoseResult):
            continue
        for i, row in enumerate(result.to_coco(frame.index)):
            row["time_s"] = round(frame.time_s, 6)
            if frame.track_ids is not None:
                row["track_id"] = frame.track_ids[i]
            rows.append(row)
    return rows


def _summary(frame: FrameResult) -> dict[str, Any]:
    """Return a frame as plain values: of a pose only who is there, the rest is in COCO's file."""
    row: dict[str, Any] = {"frame": frame.index, "time_s": round(frame.time_s, 6)}
    for result in frame.results:
        if isinstance(result, PoseResult):
            row["pose"] = {"skeleton": result.skeleton.name, "people": len(result)}
            if frame.track_ids is not None:
                row["pose"]["track_ids"] = list(frame.track_ids)
        else:
            row[result.task] = result.to_json()
    return row


def _images(frame: FrameResult, kinds: Sequence[Kind], key: str) -> Iterator[tuple[Path, RGBImage]]:
    """Yield the frame of each video that is asked for."""
    results = frame.results
    if "image" in kinds:
        together = MultiResult({r.task: r for r in results}) if len(results) > 1 else results[0]
        yield Path("image", f"{key}.mp4"), together.panels()
    if "overlay" in kinds:
        for result in results:
            yield Path("overlay", f"{key}.{result.task}.mp4"), _overlay(result, frame.track_ids)


def _overlay(result: Result, ids: Sequence[int] | None) -> RGBImage:
    """Return the overlay of a result, with the number of each person over its box."""
    image = result.overlay()
    if not isinstance(result, PoseResult) or ids is None:
        return image
    image = image.copy() if image is result.image else image
    size = max(12, image.shape[0] // 40)
    for number, box in zip(ids, result.boxes.xyxy, strict=True):
        top = int(np.clip(box[1] - 1.3 * size, 0, max(0, image.shape[0] - 1.3 * size)))
        left = int(np.clip(box[0], 0, max(0, image.shape[1] - 2 * size)))
        width = text_width(str(number), size) + size // 2
        label = image[top : top + round(1.3 * size), left : left + width]
        label[:] = 255
        draw_text(label, str(number), (size // 4, label.shape[0] // 2), size)
    return image
