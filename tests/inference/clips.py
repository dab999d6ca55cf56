"""Small videos, written by PyAV itself rather than by the code that is tested."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TICK = Fraction(1, 600)  # [s]
SOUND_HZ = 8000


def write_clip(
    path: Path,
    *,
    times: Sequence[int] = tuple(range(0, 200, 20)),
    size: tuple[int, int] = (48, 64),
    rotation: int = 0,
    sound: str | None = None,
    codec: str = "libx264",
) -> Path:
    """Write frames whose upper left quarter is red and whose brightness tells their number.

    Args:
        path: of the file, whose suffix is its kind.
        times: of the frames, in 600ths of a second.
        size: (height, width) as stored.
        rotation: counterclockwise, of the display matrix.
        sound: codec of a tone of 440 Hz, as long as the frames.
        codec: of the frames.
    """
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=30, options={"g": "12"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = TICK
        if rotation:
            stream.set_display_rotation(rotation)
        tone = None if sound is None else output.add_stream(sound, rate=SOUND_HZ, layout="mono")
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(image_of(number, size), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = time, TICK
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if tone is not None:
            _write_tone(output, tone, seconds=float(times[-1] * TICK))
    return path


def image_of(number: int, size: tuple[int, int]) -> np.ndarray:
    """Return the image of a frame."""
    pixels = np.full((*size, 3), 40 + 5 * (number % 30), np.uint8)
    pixels[: size[0] // 2, : size[1] // 2] = (220, 20, 20)
    return pixels


def _write_tone(output: av.container.OutputContainer, tone: av.AudioStream, seconds: float) -> None:
    count = int(seconds * SOUND_HZ)
    wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(count) / SOUND_HZ)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_HZ, 0, Fraction(1, SOUND_HZ)
    fifo = av.AudioFifo()
    fifo.write(frame)
    resampler = av.AudioResampler(format=tone.format, layout="mono", rate=SOUND_HZ)
    while (part := fifo.read(1024, partial=True)) is not None:
        for piece in resampler.resample(part):
            output.mux(tone.encode(piece))
    output.mux(tone.encode())


def read_times(path: Path) -> list[float]:
    """Return the times of all frames [s]."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def read_images(path: Path) -> list[np.ndarray]:
    """Return all frames as RGB, as stored."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def read_sound(path: Path) -> list[bytes]:
    """Return the packets of the sound."""
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(audio=0) if p.size]
