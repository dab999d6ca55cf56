"""Frames of a video file, one after the other: upright, each with its time."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sapiens_lab.inference.frames import Frame
from sapiens_lab.inference.video.settings import VideoSettings
from sapiens_lab.limits import MAX_PIXELS, check_pixels, check_regular, limit_scale

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

_HD = 720  # rows from which colors are those of BT.709, where a file does not say
_MICROSECONDS = 1_000_000  # the unit of a container's times
_MISSING_S = 0.5  # by which a video may end before its stated duration


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFrame(Frame):
    """A frame of a video. Its image is converted when it is read, its number and time are known."""

    index: int  # from 0, counted from the start that was asked for
    time_s: float  # in the video
    track_ids: tuple[int, ...] | None = None  # of the boxes


class Video(Protocol):
    """What gives frames in order."""

    name: str  # for messages
    rate: Fraction  # frames per second, roughly
    time_base: Fraction  # the unit of its times [s]
    num_frames: int | None  # about how many there will be
    audio: str | None  # the file whose sound belongs to it

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames that were asked for."""


@dataclass(slots=True, kw_only=True)
class VideoFile:
    """A video file. Nothing is kept of the frames that were passed on."""

    name: str
    settings: VideoSettings
    rate: Fraction
    time_base: Fraction
    num_frames: int | None
    audio: str | None

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames that were asked for.

        Raises:
            ValueError: the file ends before it should, or parts of it are damaged; the frames that
                could be read have been yielded.
        """
        with open_container(self.name) as container:
            yield from self._decoded(container)

    def _decoded(self, container: InputContainer) -> Iterator[VideoFrame]:
        stream = video_stream(container, self.name)
        origin = start_of(container)
        start, end = self.settings.start_s, self.settings.end_s
        if start > 0:
            seek(container, start + origin)
        number, time_s, damaged = -1, 0.0, 0
        for decoded in _each(container, stream):
            if decoded is None or decoded.is_corrupt:
                damaged += 1
                continue
            check_pixels(decoded.height, decoded.width, self.name)
            time_s = (
                time_s + float(1 / self.rate) if decoded.time is None else decoded.time - origin
            )
            if end is not None and time_s >= end:
                break
            if time_s < start:
                continue
            number += 1
            if number % self.settings.stride == 0:
                yield VideoFrame(
                    name=f"{self.name}, frame {number}",
                    key=f"{number:06d}",
                    read=_reader(decoded, self.name),
                    index=number,
                    time_s=time_s,
                )
        else:
            _check_end(stream, self.name, time_s, damaged)
        if number < 0:
            raise ValueError(f"{self.name} has no frame from {start:g} s to {end or 'its end'}")


def open_video(path: str, settings: VideoSettings) -> VideoFile:
    """Open a video file and look at its header.

    Raises:
        FileNotFoundError: there is none.
        ImportError: PyAV is not installed.
        ValueError: it is no video, or larger than the limit.
    """
    with open_container(path) as container:
        stream = video_stream(container, path)
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        duration = _duration(stream) or (container.duration or 0) / _MICROSECONDS
        audio = path if container.streams.audio else None
        time_base = Fraction(stream.time_base or 1 / rate)
    end = duration if settings.end_s is None else min(settings.end_s, duration)
    count = max(0, round((end - settings.start_s) * rate)) if duration else 0
    return VideoFile(
        name=path,
        settings=settings,
        rate=rate,
        time_base=time_base,
        num_frames=-(-count // settings.stride) or None,
        audio=audio,
    )


def require_av() -> Any:
    """Return PyAV.

    Raises:
        ImportError: it is not installed; says how.
    """
    if importlib.util.find_spec("av") is None:
        raise ImportError('videos are read with PyAV: pip install "sapiens-lab[video]"')
    return importlib.import_module("av")


def open_container(path: str) -> InputContainer:
    """Open a media file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is none.
    """
    av = require_av()
    if check_regular(Path(path)) == 0:
        raise ValueError(f"{path} is empty")
    try:
        container: InputContainer = av.open(path)
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a video: it is damaged or none") from error
    return container


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """Return the first video of a file, whose frames have a size that can be decoded.

    Raises:
        ValueError: there is none, it is too large, or of an unknown kind.
    """
    if not container.streams.video:
        raise ValueError(f"{name} holds no video, only sound or data")
    stream = container.streams.video[0]
    codec = stream.codec_context
    if codec is None:
        raise ValueError(f"{name}: this FFmpeg has no decoder for its video")
    check_pixels(codec.height, codec.width, name)
    if not codec.height or not codec.width:  # also where FFmpeg believes the stated size impossible
        raise ValueError(f"{name}: its header states no size that a video can have")
    codec.options = {"max_pixels": str(int(MAX_PIXELS * limit_scale()))}
    codec.thread_type = "AUTO"
    return stream


def start_of(container: InputContainer) -> float:
    """Return the time [s] at which a file begins, to which its sound and frames refer."""
    return (container.start_time or 0) / _MICROSECONDS


def seek(container: InputContainer, time_s: float) -> None:
    """Go to a frame before a time; where a file cannot be searched, it is read from its start."""
    av = require_av()
    with contextlib.suppress(av.FFmpegError):
        container.seek(round(time_s * _MICROSECONDS))


def _each(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame | None]:
    """Yield decoded frames, and ``None`` for what cannot be decoded."""
    av = require_av()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:  # the file breaks off
            yield None
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            yield None
            continue
        yield from frames


def _reader(decoded: av.VideoFrame, name: str) -> Callable[[], NDArray[np.uint8]]:
    """Return what converts a frame to upright RGB."""

    def read() -> NDArray[np.uint8]:
        unspecified = int(decoded.colorspace) == 2 and decoded.height >= _HD
        try:
            rgb = decoded.reformat(format="rgb24", src_colorspace="ITU709" if unspecified else None)
        except require_av().FFmpegError as error:
            raise ValueError(f"{name} cannot be converted to RGB") from error
        turns = round(decoded.rotation / 90) % 4  # counterclockwise
        return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), turns))

    return read


def _duration(stream: VideoStream) -> float | None:
    """Return how long a stream says that it is [s]."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")  # Matroska
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds


def _check_end(stream: VideoStream, name: str, time_s: float, damaged: int) -> None:
    """Check that a video that was read to its end is whole.

    Raises:
        ValueError: it is not.
    """
    duration = _duration(stream)
    if duration is not None and time_s + _MISSING_S < duration - 2 / float(
        stream.average_rate or 25
    ):
        raise ValueError(
            f"{name} is cut off: it ends after {time_s:.1f} s of {duration:.1f} s; what is there "
            "was predicted"
        )
    if damaged:
        raise ValueError(
            f"{name} is damaged: {damaged} of its packets could not be decoded; the other frames "
            "were predicted"
        )
