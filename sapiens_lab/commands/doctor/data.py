"""The section "data": both sets are built, and everything that is wrong with them is listed.

What ends a run is a line here: the set is built once more without the faulty samples, so that the
checks behind the first fault speak too.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sapiens_lab.commands.doctor.composing import build, messages
from sapiens_lab.commands.doctor.config import fault_line
from sapiens_lab.commands.doctor.diagnosis import Line, Section
from sapiens_lab.commands.errors import explain
from sapiens_lab.data.checks.finding import Finding, Settled, recorded, settle
from sapiens_lab.data.checks.statistics import Statistics
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.datasets.split_checks import check_splits
from sapiens_lab.data.examination.examine import FULL, Budget, examine

SPLITS = ("train", "val")


@dataclass(slots=True, kw_only=True)
class Examined:
    """What was found out about the data, for the report to show."""

    lines: list[Line] = field(default_factory=list)
    datasets: dict[str, Dataset] = field(default_factory=dict)  # those that could be built
    statistics: Mapping[str, Statistics] = field(default_factory=dict)  # by split
    datamodule: Any = None

    @property
    def section(self) -> Section:
        """The section of the page."""
        return Section.of("data", self.lines)


def examine_data(
    config: DictConfig, *, budget: Budget = FULL, step: Callable[[], None] = lambda: None
) -> Examined:
    """Build and examine training and validation set.

    Args:
        config: composed.
        budget: how much is read.
        step: called after every image that was read.
    """
    found = Examined()
    try:
        found.datamodule = build(config, "data")
    except Exception as error:
        found.lines.append(fault_line("data", error))
        return found
    for split in SPLITS:
        found.lines += _build_split(config, found, split)
    paths = {split: dataset.image_paths() for split, dataset in found.datasets.items()}
    if len(paths) == len(SPLITS):
        with recorded() as settled:
            check_splits(*paths.values())
            with contextlib.suppress(ValueError):  # recorded all the same
                train, val = (found.datasets[split] for split in SPLITS)
                settle(train.differences(val), source="training and validation set")
        found.lines += [_line("train and val", item._replace(source="")) for item in settled]
    if found.datasets:
        found.lines += _examine(found, budget, step)
    found.lines = list({_key(line): line for line in reversed(found.lines)}.values())[::-1]
    return found


def _build_split(config: DictConfig, found: Examined, split: str) -> Iterator[Line]:
    """Build a set, without its faulty samples if there is no other way."""
    lines: dict[tuple[str, ...], Line] = {}
    with messages() as heard:
        for attempt in (found.datamodule, None):
            with recorded() as settled:
                fault = ""
                try:
                    module = attempt or build(_skipping(config), "data")
                    found.datasets[split] = module.dataset(split)
                except Exception as error:  # datasets of the user's own may raise anything
                    fault = explain(error) or f"{type(error).__name__}: {error}"
            for item in settled:
                lines.setdefault(_key(line := _line(split, item)), line)
            is_listed = any(
                x.finding.severity == "error" and x.finding.what in fault for x in settled
            )
            if fault and not is_listed:
                line = Line(status="error", name=split, text=fault)
                lines.setdefault(_key(line), line)
            if not fault or "on_error" not in config.data:
                break
    yield from lines.values()
    if split in found.datasets:
        dataset = found.datasets[split]
        text = f"{len(dataset):,} samples, {type(dataset).__name__}"
        if any(line.status == "error" for line in lines.values()):
            text += "; without the faulty ones, which end a run unless data.on_error=skip"
        yield Line(status="ok", name=split, text=text)
    for level, text in heard.said:
        if not text.startswith("skipped:"):
            status = "warning" if level >= logging.WARNING else "note"
            yield Line(status=status, name=split, text=text)  # type: ignore[arg-type]


def _skipping(config: DictConfig) -> DictConfig:
    changed = config.copy()
    OmegaConf.update(changed, "data.on_error", "skip")
    return changed


def _examine(found: Examined, budget: Budget, step: Callable[[], None]) -> Iterator[Line]:
    """Run the checks that take longer than a run may wait for."""
    try:
        with recorded() as settled, messages():
            result = examine(found.datasets, budget=budget, step=step)
    except Exception as error:
        yield fault_line("data", error)
        return
    found.statistics = result.statistics
    yield from (_line("data", item) for item in settled)
    for split, findings in result.findings.items():
        source = _source(found.datasets.get(split))
        yield from (_line(split, Settled(source, finding)) for finding in findings)
    yield from (
        Line(status="ok", name="looked at", text=text.replace(": ", ", ", 1))
        for text in result.coverage()
    )


def _source(dataset: Dataset | None) -> str:
    paths = [] if dataset is None else list(dataset.annotation_paths())
    if not paths:
        return ""
    return str(paths[0] if len(set(paths)) == 1 else paths[0].parent)


def _line(name: str, settled: Settled) -> Line:
    finding: Finding = settled.finding
    names_files = any(os.sep in item for item in finding.items)
    return Line(
        status=finding.severity,
        name=name,
        text=finding.what,
        remedy=finding.remedy,
        items=finding.items,
        count=finding.count,
        source="" if names_files else settled.source,
    )


def _key(line: Line) -> tuple[str, ...]:
    return line.status, line.name, line.source, line.text
