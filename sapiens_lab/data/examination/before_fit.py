"""Examine the data of a run before its first step, once for every state of the data."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from sapiens_lab.data.checks.finding import OnError, is_logged, settle
from sapiens_lab.data.dataset import Dataset
from sapiens_lab.data.examination.remember import fingerprint, recall, remember

log = logging.getLogger(__name__)

Mode = Literal["off", "quick", "full"]


def examine_before_fit(
    datasets: Mapping[str, Dataset], *, mode: Mode, settings: object, on_error: OnError
) -> None:
    """Log what smells, and refuse what is certain to be wrong.

    Data that are not in files of their own (rendered people) are taken for good. What datasets
    have reported themselves is not said twice.

    Args:
        datasets: ``train`` and ``val``.
        mode: ``quick`` takes a few seconds, ``full`` up to half a minute; both nothing if neither
            the files nor the settings have changed since.
        settings: what the datasets were built with, as plain values.
        on_error: ``skip`` logs errors whose samples can be left out.

    Raises:
        ValueError: something is certain to be wrong; has all findings.
    """
    key = None if mode == "off" else fingerprint(datasets, [mode, settings])
    if key is None:
        return
    found = recall(key)
    if found is None:
        # Here, as most runs have no use for it.
        from sapiens_lab.data.examination.examine import FULL, QUICK, examine

        examination = examine(datasets, budget=FULL if mode == "full" else QUICK)
        found = {split: list(findings) for split, findings in examination.findings.items()}
        remember(key, found)
        log.info("doctor=%s looked at %s", mode, "; ".join(examination.coverage()))
    findings = [
        replace(finding, what=f"{split}: {finding.what}")
        for split, some in found.items()
        for finding in some
        if (finding.severity == "error" and on_error == "raise") or not is_logged(finding)
    ]
    try:
        settle(findings, source=f"doctor={mode}", on_error=on_error)
    except ValueError as error:
        raise ValueError(f"{error}. doctor=off trains all the same") from error
