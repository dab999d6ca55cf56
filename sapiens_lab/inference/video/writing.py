"""``VideoWriter``: frames become an MP4 that browsers play, with the sound of the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from sapiens_lab.atomic import WriteError, replacing
from sapiens_lab.inference.video.reading import open_container, require_av, seek, start_of
from sapiens_lab.inference.video.settings import VideoSettings
from sapiens_lab.visualize.image import RGBImage

if TYPE_CHECKING:
    from av.container import OutputContainer

_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf")  # the first there is
_X264 = {"preset": "veryfast", "crf": "20"}
_COPIED = ("aac", "mp3", "opus", "flac")  # sound that an MP4 holds and browsers play
_BT709, _LIMITED = 1, 1  # as H.264 numbers colors and their range


class VideoWriter:
    """An open MP4.

    Args:
        output: the container of PyAV.
        size: of all frames (height, width).
        rate: frames per second, roughly.
        time_base: the unit of times [s].
        sound: the file whose sound is copied.
        settings: the part of it that is meant.
    """

    def __init__(
        self,
        output: Any,
        size: tuple[int, int],
        *,
        rate: Fraction,
        time_base: Fraction,
        sound: str | None,
        settings: VideoSettings,
    ) -> None:
        self._output, self._start = output, settings.start_s
        self._size = (size[0] + size[0] % 2, size[1] + size[1] % 2)  # 4:2:0 has no odd sizes
        self._time_base, self._last = time_base, -1
        name = _encoder()
        self._stream = output.add_stream(
            name, rate=rate, options=_X264 if name == "libx264" else {}
        )
        self._stream.height, self._stream.width = self._size
        self._stream.pix_fmt = "yuv420p"
        codec = self._stream.codec_context
        codec.time_base = time_base
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
        codec.color_range = _LIMITED
        self._sound = None if sound is None else Sound(sound, output, settings)

    def add(self, image: RGBImage, time_s: float) -> None:
        """Write the next frame ``(H, W, 3)``; another size is brought to that of the first."""
        from av import VideoFrame

        frame = VideoFrame.from_ndarray(_fitted(image, self._size), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        self._last = max(self._last + 1, round((time_s - self._start) / self._time_base))
        frame.pts, frame.time_base = self._last, self._time_base
        if self._sound is not None:
            self._sound.copy_until(time_s)
        self._output.mux(self._stream.encode(frame))

    def finish(self, end_s: float) -> None:
        """Write what the encoder and the sound still hold."""
        self._output.mux(self._stream.encode())
        if self._sound is not None:
            self._sound.copy_until(end_s)
            self._sound.close()


@contextmanager
def writing(
    path: Path,
    size: tuple[int, int],
    *,
    rate: Fraction,
    time_base: Fraction,
    sound: str | None,
    settings: VideoSettings,
) -> Iterator[VideoWriter]:
    """Open a writer whose file takes its place when it is whole; call ``finish`` at the end.

    Raises:
        WriteError: there is no room or no permission.
        ValueError: FFmpeg has no encoder for H.264.
    """
    av = require_av()
    with replacing(path) as part:
        try:
            # The index goes to the front, so that a browser need not load all to begin.
            output = av.open(part.name, "w", format="mp4", options={"movflags": "+faststart"})
            with output:
                yield VideoWriter(
                    output, size, rate=rate, time_base=time_base, sound=sound, settings=settings
                )
        except av.FFmpegError as error:
            raise WriteError(f"{path} cannot be written: {error.strerror}", error.errno) from error


class Sound:
    """The sound of a file on its way into another: copied, or as AAC where MP4 does not hold it.

    Args:
        source: the file.
        output: where it goes.
        settings: the part that is meant.
    """

    def __init__(self, source: str, output: OutputContainer, settings: VideoSettings) -> None:
        self._input = open_container(source)
        self._output, self._settings = output, settings
        self._from: Any = self._input.streams.audio[0]
        self._is_copied = self._from.codec_context.name in _COPIED
        self._to: Any = (
            output.add_stream_from_template(self._from)
            if self._is_copied
            else output.add_stream("aac", rate=self._from.rate)
        )
        self._origin = start_of(self._input)
        if settings.start_s > 0:
            seek(self._input, settings.start_s + self._origin)
        self._packets = self._timed()
        self._next = next(self._packets, None)

    def copy_until(self, time_s: float) -> None:
        """Write the sound up to a time of the source."""
        while self._next is not None and self._next[0] <= time_s:
            self._write(self._next[1])
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Write what is held, and close the source."""
        if not self._is_copied:
            self._output.mux(self._to.encode())
        self._input.close()

    def _timed(self) -> Iterator[tuple[float, Any]]:
        """Yield packets and their times."""
        av = require_av()
        try:
            for packet in self._input.demux(self._from):
                if packet.pts is None or packet.dts is None:
                    continue  # the end
                time_s = float(packet.pts * packet.time_base) - self._origin
                if self._settings.start_s == 0 or time_s >= self._settings.start_s:
                    yield time_s, packet
        except av.FFmpegError:
            return  # the file breaks off, which its frames tell

    def _write(self, packet: Any) -> None:
        av = require_av()
        shift = round((self._settings.start_s + self._origin) / packet.time_base)
        if self._is_copied:
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = self._to
            self._output.mux(packet)
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round((self._settings.start_s + self._origin) / frame.time_base)
            self._output.mux(self._to.encode(frame))


def _encoder() -> str:
    """Return the encoder for H.264.

    Raises:
        ValueError: there is none.
    """
    av = require_av()
    for name in _ENCODERS:
        if name in av.codecs_available:
            return name
    raise ValueError(
        'this FFmpeg has no encoder for H.264; the one of `pip install "sapiens-lab[video]"` has'
    )


def _fitted(image: RGBImage, size: tuple[int, int]) -> RGBImage:
    """Return an image of the size: a row or column more, or resized where it is another one."""
    height, width = image.shape[:2]
    if height != size[0] and height + 1 != size[0]:
        width = max(1, round(width * size[0] / height))
        image = np.asarray(cv2.resize(image, (width, size[0])), np.uint8)
    image = image[: size[0], : size[1]]
    missing = (size[0] - image.shape[0], size[1] - image.shape[1])
    if any(missing):
        image = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
