"""The section "weights": what a file would fill and what it would leave."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig

from sapiens_lab.atomic import free_bytes, size
from sapiens_lab.commands.doctor.composing import build_shell, messages
from sapiens_lab.commands.doctor.config import fault_line
from sapiens_lab.commands.doctor.diagnosis import Line, Section
from sapiens_lab.weights.load import LoadReport


def examine_weights(config: DictConfig) -> Section:
    """Match a file with the model, which is on the meta device; nothing is downloaded."""
    return Section.of("weights", _lines(config))


def _lines(config: DictConfig) -> Iterator[Line]:
    source = config.weights
    if source is None:
        yield Line(
            status="note",
            name="weights",
            text="none: training starts from random values",
            remedy="weights=FILE or a released name starts from what others have trained",
        )
        return
    if (line := _not_here(str(source))) is not None:
        yield line
        return
    try:
        with messages() as heard, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values are not kept on the meta device
            report = _match(config)
    except Exception as error:  # a damaged file may raise anything
        yield fault_line("weights", error)
        return
    yield from report_lines(report)
    for level, text in heard.said:
        if level >= logging.WARNING:
            yield Line(status="warning", name="said", text=text)


def _not_here(source: str) -> Line | None:
    """Return what is to say of a released model that would have to be downloaded."""
    from sapiens_lab.weights.catalog import find_release
    from sapiens_lab.weights.hub import cached, hub_cache

    release = find_release(source)
    if release is None or cached(release) is not None:
        return None
    free = free_bytes(hub_cache())
    known = "of unknown size" if release.gb is None else f"{release.gb:g} GB"
    text = f"{source} ({known}) is not on this machine yet; {size(free)} are free for it"
    if release.gb is not None and release.gb * 1e9 > free:
        return Line(
            status="error",
            name="weights",
            text=text,
            remedy="make room, or set HF_HOME to a larger disk",
        )
    return Line(
        status="warning",
        name="weights",
        text=f"{text}, so it was not compared with the model",
        remedy=f"sapiens weights download {source}",
    )


def _match(config: DictConfig) -> LoadReport:
    from sapiens_lab.weights.description import output_names
    from sapiens_lab.weights.load import load_weights

    learner: Any = build_shell(config, "learner")
    outputs = output_names(learner.task.metadata())
    return load_weights(learner.model, config.weights, head=config.head_init, outputs=outputs)


def report_lines(report: LoadReport) -> Iterator[Line]:
    """Return what became of the tensors, a line for each kind."""
    terms = f"; license {report.license}" if report.license else ""
    yield Line(
        status="ok" if report.matched else "warning",
        name="weights",
        text=f"{report.source}: {len(report.matched)} tensors match{terms}",
    )
    encoder = [name for name in report.initialized if name.startswith("backbone.")]
    others = [name for name in report.initialized if name not in encoder]
    if encoder:
        yield _of_names("warning", "new in the encoder", encoder, "tensors start at random")
    if others:
        yield _of_names("note", "new", others, "tensors of the head start at random")
    if report.resized:
        yield _of_names("note", "resized", report.resized, "tensors are resized to this image size")
    if report.by_name:
        yield _of_names("ok", "by name", report.by_name, "outputs are copied by name")
    if report.new_outputs:
        yield _of_names("note", "new outputs", report.new_outputs, "outputs are not in the file")
    if report.unused:
        yield _of_names("note", "unused", report.unused, "tensors of the file are not needed")


def _of_names(status: Any, name: str, names: list[str], text: str) -> Line:
    return Line(
        status=status,
        name=name,
        text=f"{len(names)} {text}",
        items=tuple(names[:5]),
        count=len(names),
    )
