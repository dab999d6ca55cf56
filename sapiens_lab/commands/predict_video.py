"""Videos and cameras in ``sapiens predict``: their options, and going through them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sapiens_lab import signals
from sapiens_lab.inference.video.settings import VideoSettings

if TYPE_CHECKING:
    from sapiens_lab.inference.folder import OutputFolder
    from sapiens_lab.inference.frames import Frame
    from sapiens_lab.inference.predictor import Predictor
    from sapiens_lab.inference.results.files import Kind
    from sapiens_lab.inference.video.reading import Video

F = TypeVar("F", bound=Callable[..., Any])

# The names of the options, and of the settings that they are.
_SETTINGS = {
    "start": "start_s",
    "end": "end_s",
    "stride": "stride",
    "track": "track",
    "detect_every": "detect_every",
    "smooth": "smooth",
    "smooth_cutoff": "cutoff_hz",
    "smooth_beta": "beta",
    "smooth_maps": "smooth_maps_s",
}
_OPTIONS = (
    click.option("--start", default=0.0, help="Of a video: where to begin [s]."),
    click.option("--end", type=float, help="Of a video or camera: where to end [s]."),
    click.option("--stride", default=1, help="Of a video: take every so many frames."),
    click.option("--track", is_flag=True, help="Of a video: give people numbers that last."),
    click.option("--detect-every", default=1, help="Of a video: detect in every so many frames."),
    click.option("--smooth", is_flag=True, help="Of a video: smooth boxes and keypoints."),
    click.option("--smooth-cutoff", default=1.0, show_default=True,
                 help="Of what rests [Hz]; lower trembles less."),
    click.option("--smooth-beta", default=10.0, show_default=True,
                 help="Cutoff per speed; higher lags less."),
    click.option("--smooth-maps", default=0.0,
                 help="Of a video: mean of depth and normals over so many seconds."),
)  # fmt: skip


def video_options(command: F) -> F:
    """Give a command the options of videos."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def video_settings(options: dict[str, Any]) -> VideoSettings:
    """Take the options of videos out of those of a command."""
    return VideoSettings(**{setting: options.pop(name) for name, setting in _SETTINGS.items()})


def split_videos(sources: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the videos and cameras among sources, and the other sources."""
    from sapiens_lab.inference.sources import VIDEOS

    def is_video(source: str) -> bool:
        is_camera = source.isascii() and source.isdigit() and not Path(source).exists()
        return is_camera or (Path(source).suffix.lower() in VIDEOS and "*" not in source)

    videos = [source for source in sources if is_video(source)]
    return videos, [source for source in sources if source not in videos]


def predict_videos(
    predictor: Predictor,
    sources: Sequence[str],
    folder: OutputFolder,
    kinds: Sequence[Kind],
    settings: VideoSettings,
    *,
    taken: set[str],
) -> list[tuple[str, str]]:
    """Predict videos one after the other; return names and reasons of those that failed.

    Args:
        predictor: of the frames.
        sources: files and numbers of cameras.
        folder: where the results go.
        kinds: of files.
        settings: of the videos.
        taken: keys of images, in lower case: a video of such a name gets its suffix as well.
    """
    from sapiens_lab.inference.frames import file_frame
    from sapiens_lab.inference.sources import unique_keys

    failed = []
    for source, key in unique_keys({s: Path(s).stem for s in sources}).items():
        own = f"camera_{source}" if source.isdigit() else key
        if own.lower() in taken:
            own += Path(source).suffix.replace(".", "_")
        frame = file_frame(source, own)
        try:
            if not source.isdigit() and folder.is_complete(frame):
                click.echo(f"{source}: was complete before")
                continue
            _predict_video(predictor, frame, folder, kinds, settings)
        except (ValueError, FileNotFoundError, FileExistsError) as error:
            failed.append((source, str(error)))
        finally:
            signals.delay(False)
    return failed


def _predict_video(
    predictor: Predictor,
    frame: Frame,
    folder: OutputFolder,
    kinds: Sequence[Kind],
    settings: VideoSettings,
) -> None:
    """Predict one video, and note it as complete."""
    from sapiens_lab.commands.progress import images_bar
    from sapiens_lab.inference.video.camera import Camera
    from sapiens_lab.inference.video.files import save_video
    from sapiens_lab.inference.video.predicting import predict_video
    from sapiens_lab.inference.video.reading import open_video

    video: Video
    if frame.name.isdigit():
        video = Camera(number=int(frame.name), settings=settings, is_stopped=_is_stopped)
        signals.delay(True)  # the recording is finished first
        click.echo(f"{video.name}: Ctrl-C ends it; what was recorded is kept")
    else:
        video = open_video(frame.name, settings)
    pipeline = predictor.pipeline()
    started = time.perf_counter()
    count = 0

    def advance() -> None:
        nonlocal count
        count += 1
        progress.advance(bar)

    with images_bar() as progress:
        bar = progress.add_task(Path(video.name).name, total=video.num_frames)
        files = save_video(
            predict_video(pipeline, video, settings),
            video,
            folder.root,
            frame.key,
            kinds=kinds,
            settings=settings,
            stages=pipeline.stages,
            advance=advance,
        )
    seconds = time.perf_counter() - started
    click.echo(f"{video.name}: {count} frames in {seconds:.1f} s, {count / seconds:.1f} frames/s")
    click.echo(pipeline.stages.summary())
    for path in files:
        click.echo(str(path))
    folder.add(folder.record(frame, files))
    folder.flush()


def _is_stopped() -> bool:
    """Tell whether Ctrl-C was pressed, where it is only noted."""
    return signals.requested() is not None
