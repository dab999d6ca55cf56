"""The configs of datasets name every argument, and what is set for train holds for val."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from sapiens_lab.commands import train as cli
from tests.test_configs import composed

NAMES = sorted(p.stem for p in (cli.config_folder() / "data").glob("*.yaml") if p.stem != "maps")
# What is searched for anew in every split, or counts its samples.
OF_ONE_SPLIT = {"split", "num_scenes", "annotation_file", "box_file", "min_box_score"}


def words(name: str) -> list[str]:
    task = {"depth": ["task=depth"]}.get(name, [])
    return [f"data={name}", *task, *([] if name == "synthetic" else ["data.root=FOLDER"])]


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_of_a_dataset_can_be_set(name: str) -> None:
    with composed("~experiment", *words(name)) as config:
        for split in ("train", "val"):
            node = OmegaConf.to_container(config.data[split], resolve=True)
            assert isinstance(node, dict)
            arguments = inspect.signature(get_class(str(node.pop("_target_")))).parameters
            assert node.pop("_partial_") is True
            assert set(node) == set(arguments), split
            for key, value in node.items():
                default = arguments[key].default
                if default is not inspect.Parameter.empty and "${" not in str(
                    OmegaConf.to_container(config.data.train)[key]  # type: ignore[index, call-overload]
                ):
                    assert value == (list(default) if isinstance(default, tuple) else default), key


@pytest.mark.parametrize("name", NAMES)
def test_what_is_set_for_train_holds_for_val(name: str) -> None:
    """A unit of meters set for training alone once left the evaluation in millimeters."""
    with composed("~experiment", *words(name)) as config:
        train, val = config.data.train, config.data.val
        for key in train:
            if key in OF_ONE_SPLIT or str(key).endswith("_dir") and key != "cache_dir":
                continue
            train[key] = "changed"
            assert val[key] == "changed" or (key in ("root", "on_error", "_partial_")), key
            val[key] = "own"
            assert train[key] == "changed"


def test_a_unit_of_train_alone_reaches_the_validation_set(tmp_path: Path) -> None:
    setting = ["experiment=depth/general", f"data.root={tmp_path}", "data.train.unit_m=0.001"]
    with composed(*setting) as config:
        assert config.data.val.unit_m == 0.001
    with composed(*setting, "data.val.unit_m=1") as config:
        assert (config.data.train.unit_m, config.data.val.unit_m) == (0.001, 1)
