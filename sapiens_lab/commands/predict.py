"""``sapiens predict``: keypoints, parts, depth and normals of images, as files.

    sapiens predict photo.jpg --weights outputs/pose/synthetic/TIME/export --out predictions
    sapiens predict photos/ --weights sapiens-pose-0.3b --detector onnx=yolox.onnx --out predictions

The same command again goes on where it ended. ``docs/predict.md`` shows what it writes.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sapiens_lab.commands.completion import complete_model
from sapiens_lab.commands.console import StdoutHandler
from sapiens_lab.commands.errors import reported
from sapiens_lab.commands.predict_report import Counts, reason, report, report_failures
from sapiens_lab.commands.predict_video import (
    predict_videos,
    split_videos,
    video_options,
    video_settings,
)

if TYPE_CHECKING:
    import torch

    from sapiens_lab.inference.folder import OutputFolder
    from sapiens_lab.inference.frames import Frame
    from sapiens_lab.inference.predictor import Predictor
    from sapiens_lab.inference.video.settings import VideoSettings

INTERRUPTED = "stopped; every file is whole, and the same command continues from here"
_FLUSH_S = 2.0  # between two notes of what is complete
_DTYPES = ("auto", "float32", "bfloat16", "float16")
_Path = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command, as click has read them."""

    source: tuple[str, ...]
    weights: tuple[str, ...]
    out: Path
    task: str | None
    save: str | None
    overwrite: bool
    detector: str | None
    boxes: Path | None
    min_score: float
    nms: float
    min_size: float
    top_k: int | None
    device: str | None
    dtype: str
    batch_size: str
    threads: int | None
    flip: bool | None
    compile: bool
    trust_import_paths: bool
    limit_scale: float | None
    video: VideoSettings


@click.command()
@click.argument("source", nargs=-1, required=True)
@click.option(
    "--weights",
    multiple=True,
    required=True,
    shell_complete=complete_model,
    help="A released name, a file, an export's folder; several for several tasks.",
)
@click.option("--out", type=_Path, default=Path("predictions"), show_default=True,
              help="Folder to write.")  # fmt: skip
@click.option("--task", help="Of weights for several tasks, the one that is wanted.")
@click.option("--save", metavar="KIND,...",
              help="image, overlay, json, masks, depth, normals, npy, crops.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace what is in the folder.")
@click.option("--detector", metavar="NAME[=FILE]",
              help="none, onnx=FILE, torchvision[=NAME|FILE], ultralytics[=NAME|FILE] or "
              "module.function.")  # fmt: skip
@click.option("--boxes", type=_Path, help="People from COCO annotations or results.")
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="Of a person's box.",
)
@click.option(
    "--nms",
    type=click.FloatRange(0, 1),
    default=0.65,
    show_default=True,
    help="IoU of boxes of one person.",
)
@click.option(
    "--min-size", type=click.FloatRange(0), default=0.0, help="Longer side of a box [pixels]."
)
@click.option("--top-k", type=click.IntRange(1), help="People per image at most.")
@click.option("--device", help="cpu, cuda, cuda:1, mps; by default a GPU where there is one.")
@click.option("--dtype", type=click.Choice(_DTYPES), default="auto", show_default=True,
              help="Of the network; auto: bfloat16 on CUDA.")  # fmt: skip
@click.option("--batch-size", default="auto", show_default=True, help="A number, or auto.")
@click.option("--threads", type=click.IntRange(0), help="That read, and as many that write.")
@click.option("--flip/--no-flip", default=None,
              help="Average with the flipped image; as evaluated.")  # fmt: skip
@click.option("--compile", is_flag=True, help="torch.compile: slow start, then faster.")
@click.option("--trust-import-paths", is_flag=True,
              help="Import classes of your own that the weights name.")  # fmt: skip
@click.option("--limit-scale", type=float, help="Multiply the limits of image sizes.")
@video_options
@reported(interrupted=INTERRUPTED)
def predict(**options: Any) -> None:
    """Predict images and videos: files, folders, patterns, .txt lists, - for a list on stdin.

    A number is a camera.
    """
    given = Options(video=video_settings(options), **options)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[StdoutHandler()])
    _run(given)


def _run(options: Options) -> None:
    from sapiens_lab.inference.folder import OutputFolder
    from sapiens_lab.inference.results.files import check_kinds, usual_kinds
    from sapiens_lab.inference.sources import find_frames
    from sapiens_lab.inference.video.files import USUAL as USUAL_OF_VIDEO
    from sapiens_lab.limits import set_limit_scale

    if options.limit_scale is not None:
        set_limit_scale(options.limit_scale)
    kinds = None if options.save is None else check_kinds(_words(options.save))
    listed = sys.stdin if "-" in options.source else ()
    videos, images = split_videos([s for s in options.source if s != "-"])
    frames = find_frames(images, listed=listed) if images or listed or not videos else []
    if videos and options.boxes is not None:
        raise ValueError("--boxes are of images; give videos a --detector")
    predictor = _predictor(options)
    usual = kinds or USUAL_OF_VIDEO  # of videos
    kinds = kinds or (usual_kinds(predictor.tasks) if frames else usual)
    settings = _settings(options, predictor, kinds)
    folder = OutputFolder(options.out, settings, kinds, options.overwrite)
    folder.open()
    counts = Counts()
    todo = _select(frames, folder, counts)
    click.echo(repr(predictor))
    counts.failed += predict_videos(
        predictor,
        videos,
        folder,
        usual,
        options.video,
        taken={frame.key.lower() for frame in frames},
    )
    if not frames:
        report_failures(counts, "videos")
        return
    started = time.perf_counter()
    stages = _predict_all(predictor, todo, folder, counts)
    seconds = time.perf_counter() - started
    files = folder.finish(predictor.tasks)
    report(counts, seconds, stages, [folder.root, *files])


def _predictor(options: Options) -> Predictor:
    """Return the predictor that the options ask for."""
    from sapiens_lab.inference.boxes import Selection
    from sapiens_lab.inference.detect.choose import make_detector
    from sapiens_lab.inference.predictor import Predictor

    select = Selection(
        min_score=options.min_score,
        nms=options.nms,
        min_size=options.min_size,
        top_k=options.top_k,
    )
    device, dtype = _place(options)
    detector = make_detector(options.detector, options.boxes, select=select, device=str(device))
    return Predictor.from_pretrained(
        list(options.weights),
        task=options.task,
        device=device,
        dtype=dtype,
        compile=options.compile,
        detector=detector,
        flip_test=options.flip,
        batch_size=_batch_size(options.batch_size),
        num_threads=options.threads,
        trust_import_paths=options.trust_import_paths,
    )


def _place(options: Options) -> tuple[torch.device, torch.dtype | None]:
    """Return device and type of the computation.

    Raises:
        ValueError: there is no such device here.
    """
    import torch

    from sapiens_lab.inference.predictor import default_device

    try:
        device = default_device() if options.device is None else torch.device(options.device)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {options.device}: {str(error).splitlines()[0]}") from error
    if options.dtype == "auto":
        return device, torch.bfloat16 if device.type == "cuda" else None
    return device, getattr(torch, options.dtype)


def _words(text: str) -> list[str]:
    """Return the words of a list with commas between them."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"--batch-size {text}: give a number above 0, or auto")
    return int(text)


def _settings(options: Options, predictor: Predictor, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Return what must be the same when a folder is continued."""
    from sapiens_lab import __version__

    return {
        "sapiens_lab": __version__,
        "weights": [network.origin for network in predictor.networks],
        "task": options.task,
        "save": list(kinds),
        "detector": options.detector,
        "boxes": None if options.boxes is None else str(options.boxes),
        "flip": options.flip,
        "video": asdict(options.video),
    }


def _select(frames: list[Frame], folder: OutputFolder, counts: Counts) -> list[Frame]:
    """Return the images that are not complete."""
    todo = []
    for frame in frames:
        try:
            if folder.is_complete(frame):
                counts.skipped += 1
            else:
                todo.append(frame)
        except FileExistsError as error:
            counts.failed.append((frame.name, str(error)))
    return todo


def _predict_all(
    predictor: Predictor, frames: list[Frame], folder: OutputFolder, counts: Counts
) -> str:
    """Predict and write images; return where the time went."""
    from sapiens_lab.commands.progress import images_bar

    pipeline = predictor.pipeline()
    noted = time.perf_counter()
    try:
        with images_bar() as progress:
            bar = progress.add_task("Predicting", total=len(frames))
            for outcome in pipeline.run(frames, folder.write):
                progress.advance(bar)
                if outcome.error is not None or outcome.value is None:
                    counts.failed.append((outcome.frame.name, reason(outcome.error)))
                    continue
                folder.add(outcome.value)
                counts.written += 1
                if outcome.value["people"] == 0:
                    counts.without_people.append(outcome.frame.name)
                if time.perf_counter() - noted > _FLUSH_S:
                    folder.flush()
                    noted = time.perf_counter()
    finally:  # also after Ctrl-C: what is complete stays complete
        folder.flush()
    return pipeline.stages.summary()
