"""Frames in, results out, in order: reading, the network and writing overlap.

Threads read, detect and crop ahead of the network; the network runs in the calling thread; threads
bring its outputs to the source image and finish them. All queues are bounded, so memory does not
depend on how many frames there are.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sapiens_lab.atomic import WriteError
from sapiens_lab.data.sample import Sample
from sapiens_lab.inference.boxes import Boxes
from sapiens_lab.inference.collect import collect
from sapiens_lab.inference.detect.detector import Detector
from sapiens_lab.inference.frames import Frame
from sapiens_lab.inference.network import Network, Output
from sapiens_lab.inference.results.result import Result
from sapiens_lab.inference.stages import CROP, DETECT, NETWORK, READ, TO_SOURCE, WRITE, Stages

T = TypeVar("T")
R = TypeVar("R")

# What one image can cause and the others need not suffer from.
OF_ONE_IMAGE = (ValueError, OSError, MemoryError, cv2.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[T]):
    """What became of a frame: a value, or the reason why there is none."""

    frame: Frame
    value: T | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A frame that was read, with the inputs of every network."""

    frame: Frame
    pixels: NDArray[np.uint8]
    boxes: Boxes | None
    samples: list[list[Sample]]  # of each network


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """A frame that could not be read, or whose people could not be found."""

    frame: Frame
    error: Exception


class Pipeline:
    """Networks that see the same frames.

    Args:
        networks: each image is read once and its people are detected once for all of them.
        detector: finds people, where a network looks at them; ``None`` takes images as a whole.
        batch_size: inputs of a network at once.
        num_threads: that read, and as many that finish; 0 does everything in turn.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        *,
        detector: Detector | None,
        batch_size: int,
        num_threads: int,
    ) -> None:
        self.networks, self.detector = networks, detector
        self.batch_size, self.num_threads = batch_size, num_threads
        self.stages = Stages(num_threads)
        self.needs_boxes = any(network.takes_boxes for network in networks)
        self._detecting = threading.Lock()  # detectors need not be safe in threads

    def run(
        self, frames: Iterable[Frame], finish: Callable[[Frame, list[Result]], T]
    ) -> Iterator[Outcome[T]]:
        """Yield what ``finish`` makes of every frame's results, in order.

        Raises:
            WriteError: a file could not be written; the next would not be, either.
        """
        readers, finishers = self._executor(), self._executor()
        done: deque[Future[Outcome[T]]] = deque()
        try:
            for group in self._groups(self._read_ahead(frames, readers)):
                outputs = self._run_networks([p for p in group if isinstance(p, _Prepared)])
                for item in group:
                    if isinstance(item, _Prepared):
                        own = outputs.pop(0)
                        done.append(_submit(finishers, self._finish, item, own, finish))
                    else:
                        outcome: Outcome[T] = Outcome(frame=item.frame, error=item.error)
                        done.append(_submit(None, lambda outcome=outcome: outcome))
                while len(done) > 2 * self.num_threads:
                    yield done.popleft().result()
            while done:
                yield done.popleft().result()
        finally:  # also where the caller stops early, or is stopped
            for executor in (readers, finishers):
                if executor is not None:
                    executor.shutdown(cancel_futures=True)

    def _executor(self) -> Executor | None:
        return ThreadPoolExecutor(self.num_threads) if self.num_threads else None

    def _read_ahead(
        self, frames: Iterable[Frame], readers: Executor | None
    ) -> Iterator[_Prepared | _Failed]:
        ahead: deque[Future[_Prepared | _Failed]] = deque()
        for frame in frames:
            ahead.append(_submit(readers, self._prepare, frame))
            if len(ahead) > 2 * self.num_threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _prepare(self, frame: Frame) -> _Prepared | _Failed:
        try:
            with self.stages.timed(READ):
                pixels = frame.read()
            boxes = frame.boxes
            if boxes is None and self.detector is not None and self.needs_boxes:
                with self._detecting, self.stages.timed(DETECT):
                    boxes = self.detector(pixels, frame.name)
            with self.stages.timed(CROP):
                samples = [n.samples(pixels, frame.name, boxes) for n in self.networks]
        except OF_ONE_IMAGE as error:
            return _Failed(frame=frame, error=error)
        return _Prepared(frame=frame, pixels=pixels, boxes=boxes, samples=samples)

    def _groups(self, items: Iterator[_Prepared | _Failed]) -> Iterator[list[_Prepared | _Failed]]:
        """Put frames together until there is a full batch for one of the networks."""
        group: list[_Prepared | _Failed] = []
        counts = np.zeros(len(self.networks), int)
        for item in items:
            group.append(item)
            if isinstance(item, _Prepared):
                counts += [len(samples) for samples in item.samples]
            if counts.max() >= self.batch_size or len(group) >= self.batch_size:
                yield group
                group, counts = [], np.zeros(len(self.networks), int)
        if group:
            yield group

    def _run_networks(self, group: Sequence[_Prepared]) -> list[list[list[Output]]]:
        """Return the outputs of every frame: those of each network."""
        outputs: list[list[list[Output]]] = [[] for _ in group]
        for number, network in enumerate(self.networks):
            samples = [sample for item in group for sample in item.samples[number]]
            with self.stages.timed(NETWORK):
                found = network.run(samples, self.batch_size)
                if network.device.type == "cuda":
                    torch.cuda.synchronize(network.device)  # or the next stage would be blamed
            for item, own in zip(group, outputs, strict=True):
                count = len(item.samples[number])
                own.append(found[:count])
                found = found[count:]
        return outputs

    def _finish(
        self,
        item: _Prepared,
        outputs: list[list[Output]],
        finish: Callable[[Frame, list[Result]], T],
    ) -> Outcome[T]:
        try:
            with self.stages.timed(TO_SOURCE):
                predictions = {
                    name: rows
                    for network, own in zip(self.networks, outputs, strict=True)
                    for name, rows in network.predict(own).items()
                }
                tasks = {n: t for network in self.networks for n, t in network.tasks.items()}
                metas = {
                    name: [output.meta for output in own]
                    for network, own in zip(self.networks, outputs, strict=True)
                    for name in network.tasks
                }
                results = collect(item.pixels, item.frame.name, tasks, predictions, metas)
            with self.stages.timed(WRITE):
                return Outcome(frame=item.frame, value=finish(item.frame, results))
        except WriteError:
            raise
        except OF_ONE_IMAGE as error:
            return Outcome(frame=item.frame, error=error)


def _submit(executor: Executor | None, function: Callable[..., R], *args: Any) -> Future[R]:
    """Call a function in a thread, or at once where there are none."""
    if executor is not None:
        return executor.submit(function, *args)
    future: Future[R] = Future()
    future.set_result(function(*args))
    return future
