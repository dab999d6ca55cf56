"""``Predictor``: weights and images in, results at the size of the images out."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.detect.detector import Detector
from sapiens_lab.inference.frames import Frame, file_frame, memory_frame
from sapiens_lab.inference.loading import load_network
from sapiens_lab.inference.network import Network
from sapiens_lab.inference.pipeline import Pipeline
from sapiens_lab.inference.results.result import MultiResult, Result
from sapiens_lab.inference.sources import VIDEOS, find_frames
from sapiens_lab.inference.video.predicting import FrameResult, predict_video
from sapiens_lab.inference.video.reading import open_video
from sapiens_lab.inference.video.settings import VideoSettings

log = logging.getLogger(__name__)

_CPU_BATCH, _GPU_BATCH = 4, 16


class Predictor:
    """Predict keypoints, parts, depth or normals in images.

        predictor = Predictor.from_pretrained("outputs/pose/synthetic/TIME/export")
        predictor("photo.jpg").plot()

    Args:
        networks: one, or several that see the same images.
        detector: finds the people for networks that look at one person at a time.
        batch_size: inputs of a network at once; by default as the device allows.
        num_threads: that read ahead of the network, and as many that come after it.

    Raises:
        ValueError: two networks answer the same task.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        *,
        detector: Detector | None = None,
        batch_size: int | None = None,
        num_threads: int | None = None,
    ) -> None:
        names = [name for network in networks for name in network.tasks]
        if repeated := {name for name in names if names.count(name) > 1}:
            origins = ", ".join(n.origin for n in networks if repeated & set(n.tasks))
            raise ValueError(
                f"{origins} all answer {', '.join(sorted(repeated))}; give one of them, or say "
                "with task= what a model of several tasks is wanted for"
            )
        self.networks = tuple(networks)
        self.tasks = tuple(names)
        on_gpu = any(network.device.type == "cuda" for network in networks)
        self.batch_size = batch_size or (_GPU_BATCH if on_gpu else _CPU_BATCH)
        self.num_threads = default_threads() if num_threads is None else num_threads
        self.detector = detector
        self._said = False

    @staticmethod
    def from_pretrained(
        source: str | Path | Sequence[str | Path],
        task: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        compile: bool = False,
        *,
        detector: Detector | None = None,
        flip_test: bool | None = None,
        batch_size: int | None = None,
        num_threads: int | None = None,
        trust_import_paths: bool = False,
    ) -> Predictor:
        """Return the predictor of weights, which say themselves how images are cropped for them.

        Args:
            source: a released model (``sapiens_lab.list_models()``), an official file, an export's
                folder, a checkpoint, ``hf://owner/repo``, or a list of them for several tasks.
            task: of a model of several tasks, the only one that is wanted.
            device: by default a GPU where there is one.
            dtype: in which the networks compute, e.g. ``torch.bfloat16``; float32 by default.
            compile: run them through ``torch.compile``: the first image takes minutes.
            detector: finds the people of an image; by default it is taken as a whole.
            flip_test: average with the flipped image; by default as the weights were evaluated.
            batch_size: inputs of a network at once; by default as the device allows.
            num_threads: that read ahead of the network, and as many that come after it.
            trust_import_paths: also import classes from outside this package that weights name,
                which runs their code.

        Raises:
            FileNotFoundError: there are no such weights.
            ValueError: they cannot be read, do not predict anything in an image, or two of them
                answer the same task.
        """
        sources = [source] if isinstance(source, str | Path) else list(source)
        if not sources:
            raise ValueError("there are no weights to predict with")
        place = default_device() if device is None else torch.device(device)
        networks = [
            load_network(
                one,
                task=task,
                device=place,
                dtype=dtype,
                compile=compile,
                flip_test=flip_test,
                trust_import_paths=trust_import_paths,
            )
            for one in sources
        ]
        return Predictor(
            networks, detector=detector, batch_size=batch_size, num_threads=num_threads
        )

    def __repr__(self) -> str:
        return "\n".join(
            f"Predictor({', '.join(network.tasks)}: {network.origin}, {network.device.type})"
            for network in self.networks
        )

    def __call__(self, images: Any, boxes: Any = None) -> Any:
        """Predict one image or many.

        Args:
            images: an array ``(H, W, 3)`` uint8 RGB, an image of Pillow, or a path: one result. A
                folder, a pattern such as ``photos/*.jpg``, a list of paths, a video, or any
                iterable of images: an iterator, which reads as it goes. Sizes may differ.
            boxes: of the people in an image, ``(N, 4)`` xyxy pixels or, with scores, ``(N, 5)``;
                for several images, one such array for each.

        Returns:
            A result, or an iterator over them: a ``PoseResult``, ``PartResult``, ``DepthResult`` or
            ``NormalResult``; of several tasks a ``MultiResult``, which holds them by name.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: a file is damaged or no image, or an array has another form.
        """
        if boxes is not None and not any(network.takes_boxes for network in self.networks):
            raise ValueError("these weights look at whole images; leave the boxes out")
        if _is_one(images):
            frame = _frame(images, None if boxes is None else Boxes.of(boxes))
            return next(self._results([frame], num_threads=0))
        return self._results(_frames(images, boxes), num_threads=self.num_threads)

    def video(
        self, source: str | Path, settings: VideoSettings | None = None
    ) -> Iterator[FrameResult]:
        """Yield the results of the frames of a video, in order, as it is read.

        Args:
            source: a file that FFmpeg reads; the extra ``video`` must be installed.
            settings: which part of it, and what is carried from frame to frame; by default every
                frame stands alone.

        Raises:
            FileNotFoundError: there is no such file.
            ImportError: PyAV is not installed.
            ValueError: it is no video, or damaged.
        """
        chosen = settings or VideoSettings()
        file = open_video(str(source), chosen)
        return predict_video(self.pipeline(), file, chosen)

    def pipeline(self, num_threads: int | None = None) -> Pipeline:
        """Return what runs the networks, for other sources of frames and other ends.

        Args:
            num_threads: that read and that finish; by default those of the predictor.
        """
        self._say_whole()
        return Pipeline(
            self.networks,
            detector=self.detector,
            batch_size=self.batch_size,
            num_threads=self.num_threads if num_threads is None else num_threads,
        )

    def _results(
        self, frames: Iterable[Frame], *, num_threads: int
    ) -> Iterator[Result | MultiResult]:
        first = next(iterator := iter(frames), None)
        if first is None:
            return
        if first.boxes is not None:
            self._said = True  # people are known
        pipeline = self.pipeline(num_threads)
        for outcome in pipeline.run(itertools.chain([first], iterator), lambda _, results: results):
            if outcome.error is not None:
                raise outcome.error
            assert outcome.value is not None
            yield join(outcome.value)

    def _say_whole(self) -> None:
        """Say once where people are looked at as nothing has found them, or not looked at."""
        if self._said:
            return
        self._said = True
        names = [name for n in self.networks if n.takes_boxes for name in n.tasks]
        if "pose" in self.tasks and "pose" not in names:
            log.warning("pose: these weights look at the whole image and give one person in it")
        if self.detector is not None:
            if not names:
                log.warning("these weights look at whole images: boxes and detector are not used")
            return
        if names:
            log.warning(
                "%s: the model looks at one person at a time, and no boxes or detector are given: "
                "each image is taken as one person, which is right only for images cropped to one",
                ", ".join(names),
            )


def join(results: Sequence[Result]) -> Result | MultiResult:
    """Return the only result, or several as one."""
    if len(results) == 1:
        return results[0]
    return MultiResult({result.task: result for result in results})


def default_device() -> torch.device:
    """Return the GPU, where there is one."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def default_threads() -> int:
    """Return how many threads read images: half of the cores, two to eight."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return int(min(8, max(2, cores // 2)))


def _is_one(images: Any) -> bool:
    """Tell whether an argument is one image."""
    if isinstance(images, str | Path):
        path = Path(images).expanduser()
        if path.is_dir() or path.suffix.lower() in {".txt", *VIDEOS}:
            return False
        return path.exists() or not any(c in str(images) for c in "*?[")
    if isinstance(images, np.ndarray):
        return images.ndim <= 3
    return isinstance(images, Image.Image)


def _frame(image: Any, boxes: Boxes | None, name: str = "image") -> Frame:
    if isinstance(image, str | Path):
        return file_frame(str(image), Path(image).stem, boxes)
    return memory_frame(image, name, boxes)


def _frames(images: Any, boxes: Any) -> Iterator[Frame]:
    """Yield the frames of several images; whatever is wrong with an image is said at its turn."""
    if isinstance(images, str | Path):
        if boxes is not None:
            raise ValueError(
                "give boxes with a list of images: a folder does not say which is whose"
            )
        if Path(images).suffix.lower() in VIDEOS:
            yield from open_video(str(images), VideoSettings()).frames()
        else:
            yield from find_frames([images])
        return
    if not isinstance(images, Iterable):
        raise ValueError(f"a {type(images).__name__} is no image, path or list of them")
    if boxes is not None and len(boxes) != len(images):  # type: ignore[arg-type]  # has a length
        raise ValueError(f"{len(boxes)} sets of boxes for {len(images)} images")  # type: ignore[arg-type]
    for i, image in enumerate(images):
        own = None if boxes is None else Boxes.of(boxes[i], f"boxes {i}")
        if isinstance(image, str | Path) and Path(image).is_dir():
            yield from find_frames([image])
        else:
            yield _frame(image, own, f"image {i}")
