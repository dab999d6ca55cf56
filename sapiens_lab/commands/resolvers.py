"""Let a config ask what a skeleton or a class list knows: ``${num_keypoints:${skeleton}}``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omegaconf import ListConfig, OmegaConf

if TYPE_CHECKING:
    from sapiens_lab.anatomy.parts import Parts


def register_resolvers() -> None:
    """Register all of them, again where they are registered already."""
    for name, resolver in {
        "num_keypoints": _num_keypoints,
        "num_classes": lambda source: _parts(source).num_classes,
        "part_names": _part_names,
        "part_weights": _part_weights,
    }.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _num_keypoints(source: str) -> int:
    from sapiens_lab.anatomy.skeleton import Skeleton  # imported here, so help stays quick

    return Skeleton.load(source).num_keypoints


def _parts(source: str) -> Parts:
    from sapiens_lab.anatomy.parts import Parts

    return Parts.load(source)


def _part_names(source: str) -> ListConfig:
    return OmegaConf.create(list(_parts(source).classes))  # plain lists do not resolve twice


def _part_weights(source: str) -> ListConfig | None:
    weights = _parts(source).weights
    return None if weights is None else OmegaConf.create(weights.tolist())
