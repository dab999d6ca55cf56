"""``predict_video``: results of every frame in order, in a stream of bounded length."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from sapiens_lab.atomic import WriteError
from sapiens_lab.inference.pipeline import OF_ONE_IMAGE, Pipeline
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.results.result import Result
from sapiens_lab.inference.smooth import MapSmoother, PointSmoother
from sapiens_lab.inference.video.people import People, with_people
from sapiens_lab.inference.video.reading import Video, VideoFrame
from sapiens_lab.inference.video.settings import VideoSettings

T = TypeVar("T")

AHEAD = 2  # frames that are read and searched for people before they are taken


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameResult:
    """The results of one frame."""

    index: int  # from 0, counted from the start that was asked for
    time_s: float  # in the video
    results: list[Result]  # of each task
    track_ids: tuple[int, ...] | None  # of the people of a pose, where they are followed


def predict_video(
    pipeline: Pipeline, video: Video, settings: VideoSettings
) -> Iterator[FrameResult]:
    """Yield the results of the frames of a video.

    Args:
        pipeline: of a ``Predictor``; its detector sees every frame, or some.
        video: what ``open_video`` returns, or a camera.
        settings: what is carried from frame to frame.

    Raises:
        ValueError: people are to be followed and there is no detector; or the video is damaged,
            which is raised after the frames that could be read.
    """
    detector = pipeline.detector if pipeline.needs_boxes else None
    if detector is None and (settings.track or settings.detect_every > 1):
        raise ValueError("people are followed by their boxes: give a detector, and a pose model "
                         "that looks at one person at a time")  # fmt: skip
    people = None if detector is None else People(detector, settings, pipeline.stages)
    problems: list[Exception] = []
    frames = ahead(_until_problem(with_people(video, people, pipeline.stages), problems), AHEAD)
    points = PointSmoother(min_cutoff_hz=settings.cutoff_hz, beta=settings.beta)
    maps = MapSmoother(time_constant_s=settings.smooth_maps_s) if settings.smooth_maps_s else None
    for outcome in pipeline.run(frames, lambda _, results: results):
        if outcome.error is not None:
            raise outcome.error
        frame, results = outcome.frame, outcome.value
        assert isinstance(frame, VideoFrame)
        assert results is not None
        if settings.smooth:
            results = [_smoothed(points, result, frame) for result in results]
        if maps is not None:
            results = maps(results, frame.time_s)
        yield FrameResult(
            index=frame.index,
            time_s=frame.time_s,
            results=results,
            track_ids=frame.track_ids if settings.track else None,
        )
    if problems:
        raise problems[0]


def ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """Produce items in a thread, at most ``count`` before they are taken."""
    thread = ThreadPoolExecutor(1)
    waiting = deque(thread.submit(next, items, None) for _ in range(count))
    try:
        while (item := waiting.popleft().result()) is not None:
            yield item
            waiting.append(thread.submit(next, items, None))
    finally:
        thread.shutdown(cancel_futures=True)


def _until_problem(frames: Iterator[VideoFrame], problems: list[Exception]) -> Iterator[VideoFrame]:
    """End where a video breaks off, so that the frames before it are finished."""
    try:
        yield from frames
    except WriteError:
        raise
    except OF_ONE_IMAGE as error:
        problems.append(error)


def _smoothed(points: PointSmoother, result: Result, frame: VideoFrame) -> Result:
    if not isinstance(result, PoseResult):
        return result
    ids = range(len(result)) if frame.track_ids is None else frame.track_ids
    return points.pose(result, list(ids), frame.time_s)
