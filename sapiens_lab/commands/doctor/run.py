"""What needs a config: it is composed once, and all sections but the first are made of it."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from omegaconf import DictConfig

from sapiens_lab.commands.doctor.composing import composed
from sapiens_lab.commands.doctor.config import Built, examine_config, fault_line
from sapiens_lab.commands.doctor.data import Examined, examine_data
from sapiens_lab.commands.doctor.diagnosis import Diagnosis, Line, Section
from sapiens_lab.commands.doctor.memory import device_of, examine_memory
from sapiens_lab.commands.doctor.offenders import Offenders
from sapiens_lab.commands.doctor.statistics import summaries
from sapiens_lab.commands.doctor.tiles import Tile, contact_sheet
from sapiens_lab.commands.doctor.weights import examine_weights
from sapiens_lab.data.checks.statistics import Statistics
from sapiens_lab.data.examination.examine import FULL, Budget
from sapiens_lab.limits import set_limit_scale

_EVERYTHING = Budget(seconds=float("inf"), images=1 << 40, maps=1 << 40)


@dataclass(slots=True, kw_only=True)
class Shown:
    """What a report shows of the data."""

    statistics: Mapping[str, Statistics] = field(default_factory=dict)  # by split
    offenders: Mapping[Line, Sequence[Tile]] = field(default_factory=dict)
    samples: Mapping[str, Sequence[Tile]] = field(default_factory=dict)  # by split


def examine_run(
    diagnosis: Diagnosis,
    words: Sequence[str],
    *,
    full: bool,
    draws: bool,
    say: Callable[[str], None],
) -> Shown:
    """Add the sections of a config.

    Args:
        diagnosis: sections and statistics are added to it.
        words: of the command line.
        full: read everything.
        draws: also draw what a report shows.
        say: what is going on.
    """
    say("composing the config")
    printed = io.StringIO()  # standard output is the page's, or the JSON's
    try:
        with contextlib.redirect_stdout(printed), composed(words) as config:
            decided = list(printed_lines(printed.getvalue()))
            return _examine(diagnosis, config, words, decided, full=full, draws=draws, say=say)
    except (ValueError, OSError) as error:
        if len(diagnosis.sections) > 1:
            raise
        diagnosis.sections.append(Section.of("config", [fault_line("overrides", error)]))
        return Shown()


def printed_lines(text: str) -> Iterator[Line]:
    """Return what a recipe printed, ``name  what was decided`` with more of it indented below."""
    for entry in re.split(r"\n(?! )", text.strip()):
        name, _, rest = entry.partition("  ")
        if entry:
            body = " ".join(rest.split())
            yield Line(status="note", name=name if body else "printed", text=body or entry)


def _examine(
    diagnosis: Diagnosis,
    config: DictConfig,
    words: Sequence[str],
    decided: Sequence[Line],
    *,
    full: bool,
    draws: bool,
    say: Callable[[str], None],
) -> Shown:
    if config.limit_scale is not None:
        set_limit_scale(config.limit_scale)
    section, built = examine_config(config)
    diagnosis.sections.append(Section.of(section.name, [*section.lines, *decided]))
    say("reading the data")
    number = count(1)
    examined = examine_data(
        config,
        budget=_EVERYTHING if full else FULL,
        step=lambda: say(f"reading the data, {next(number):,} images"),
    )
    diagnosis.sections.append(examined.section)
    diagnosis.statistics = summaries(examined.statistics)
    say("matching the weights")
    diagnosis.sections.append(examine_weights(config))
    if built.learner is not None:
        say("estimating memory")
        device = device_of(config)
        diagnosis.sections.append(examine_memory(config, built, words, device))
    if not draws:
        return Shown()
    say("drawing samples")
    return _draw(config, built, examined)


def _draw(config: DictConfig, built: Built, examined: Examined) -> Shown:
    root = config.data.get("root")
    offenders = Offenders(examined, built.view, None if root is None else Path(root))
    shown = {line: offenders.draw(line) for line in examined.lines if line.items}
    samples = {
        split: contact_sheet(examined.datamodule, dataset, built.view)
        for split, dataset in examined.datasets.items()
        if split == "train"
    }
    return Shown(statistics=examined.statistics, offenders=shown, samples=samples)
