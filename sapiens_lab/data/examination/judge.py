"""What is wrong, or smells, in what was read of training and validation set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sapiens_lab.data.checks import depth, glances, normals, people, presence, sides
from sapiens_lab.data.checks.finding import Finding, of_rows
from sapiens_lab.data.checks.maps import Look, check_alignment
from sapiens_lab.data.datasets.depth_maps import DepthMaps
from sapiens_lab.data.datasets.map_dataset import MapDataset
from sapiens_lab.data.datasets.part_masks import find_label_faults
from sapiens_lab.data.examination.collected import Collected, class_counts

_NUM_OF_SOURCE = 4  # maps of a folder or camera that are judged by themselves


def judge_split(found: Collected) -> list[Finding]:
    """Return the findings of one split."""
    findings = [
        _check_readable(found),
        glances.check_copies_within(found.glances),
        glances.check_exposure(found.glances),
        glances.check_gray(found.glances),
        glances.check_sizes(found.glances),
        *_judge_people(found),
        *_judge_maps(found),
    ]
    return [finding for finding in findings if finding is not None]


def judge_both(train: Collected, val: Collected) -> list[Finding]:
    """Return the findings of training and validation set against each other."""
    findings: list[Finding | None] = [*glances.check_copies_across(train.glances, val.glances)]
    skeleton, parts = train.dataset.skeleton, train.dataset.parts
    if skeleton is not None and train.people is not None:
        findings.append(people.check_unlabeled(train.people, val.people, skeleton))
    is_rendered = not train.dataset.image_paths()  # where a class may come with the next image
    if parts is not None and train.looks.get("labels") and not is_rendered:
        looks = train.looks["labels"], val.looks.get("labels", ())
        findings += presence.check_presence(
            class_counts(looks[0], parts),
            class_counts(looks[1], parts),
            parts,
            num_maps=(len(looks[0]), len(looks[1])),
            num_samples=(len(train.dataset), len(val.dataset)),
        )
    return [finding for finding in findings if finding is not None]


def _check_readable(found: Collected) -> Finding | None:
    faulty = np.zeros(len(found.glances) + len(found.faults), bool)
    faulty[: len(found.faults)] = True
    messages = list(found.faults.values())
    what = "images that were looked into cannot be read"  # as datasets say it
    if isinstance(found.dataset, MapDataset):
        what = "files that were looked into are faulty"
    return of_rows(
        "error",
        faulty,
        what,
        name=lambda i: messages[i],
        remedy="Copy them again, or take them out",
    )


def _judge_people(found: Collected) -> list[Finding | None]:
    known, skeleton = found.people, found.dataset.skeleton
    if known is None or skeleton is None or not len(known):
        return []
    return [
        people.check_loose_boxes(known),
        people.check_points_outside(known),
        people.check_flags(known),
        people.check_order(known, skeleton),
        sides.check_faces(known, skeleton),
        *sides.check_crossed(known, skeleton),
    ]


def _judge_maps(found: Collected) -> list[Finding]:
    findings: list[Finding] = []
    for name, looks in found.looks.items():
        if looks:
            findings += _judge_by_source(found, looks, _judge_of(found, name))
    return findings


Judge = Callable[[Sequence[Look]], Sequence[Finding | None]]


def _judge_of(found: Collected, name: str) -> Judge:
    """Return what judges the maps of a field."""
    dataset = found.dataset
    if isinstance(dataset, MapDataset):
        return dataset.find_faults
    if name == "labels" and (parts := dataset.parts) is not None:
        return lambda looks: find_label_faults(looks, parts)
    if name == "depth":
        return lambda looks: [
            depth.check_huge(looks),
            depth.check_constant(looks),
            depth.check_direction(looks),
            *check_alignment(looks, what="depth map"),
        ]
    if name == "normal":
        ours = (0, 1, 2), (1, 1, 1)
        return lambda looks: [
            normals.check_flat(looks),
            normals.check_axes(looks, ours, lambda _: "the frame x right, y down, z away"),
            *check_alignment(looks, what="normal map"),
        ]
    return lambda looks: []


def _judge_by_source(found: Collected, looks: Sequence[Look], judge: Judge) -> list[Finding]:
    """Judge all maps together, then those of each folder, camera or video by themselves.

    A folder may well hold images without a person, so that of it most is only a warning; no folder
    has normals of its own frame.
    """
    findings = [finding for finding in judge(looks) if finding is not None]
    known = {finding.kind for finding in findings}
    paths = found.dataset.image_paths()
    if not paths:
        return findings
    sources = [glances.source_of(str(paths[look.index])) for look in looks]
    groups = glances.groups(sources)
    if isinstance(found.dataset, DepthMaps) and found.dataset.kind == "metric":
        findings += depth.check_scale(looks, sources)
    for source, rows in groups.items():
        if len(groups) > 1 and len(rows) >= _NUM_OF_SOURCE:
            findings += [
                replace(
                    finding,
                    what=f"in {source!r}: {finding.what}",
                    severity=finding.severity if looks[0].values.ndim == 3 else "warning",
                )
                for finding in judge([looks[i] for i in rows])
                if finding is not None and finding.kind not in known
            ]
    return findings
