"""The section "environment": software, machine, accelerators and the hub."""

from __future__ import annotations

from pathlib import Path

from sapiens_lab.commands.doctor.accelerators import examine_accelerators
from sapiens_lab.commands.doctor.diagnosis import Section
from sapiens_lab.commands.doctor.hub import examine_hub
from sapiens_lab.commands.doctor.machine import examine_machine
from sapiens_lab.commands.doctor.software import examine_software, guarded_import


def examine_environment(output_root: Path) -> Section:
    """Examine everything that does not depend on a config.

    Args:
        output_root: where runs are written.
    """
    lines = examine_software()
    torch, _ = guarded_import("torch")
    if torch is not None:
        lines += examine_accelerators(torch)
    lines += [*examine_machine(output_root), *examine_hub()]
    return Section.of("environment", lines)


def can_go_on(section: Section) -> bool:
    """Return whether what the other sections need can be imported."""
    needed = ("torch", "torchvision", "lightning", "opencv-python", "numpy", "timm", "hydra-core")
    broken = {line.name for line in section.lines if line.status == "error"}
    return not broken & set(needed)
