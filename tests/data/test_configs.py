"""The configs of datasets name every argument, and what is set for train holds for val."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_class
from omegaconf import OmegaConf

from sapiens_lab.commands.composing import config_folder
from tests.test_configs import composed

NAMES = sorted(p.stem for p in (config_folder() / "data").glob("*.yaml") if p.stem != "maps")
SHARED = {"root", "on_error"}  # set once, beside the splits
# Set for each split: files and folders, and what chooses samples of a split.
OF_ONE_SPLIT = {"split", "num_scenes", "box_file", "min_box_score", "annotation_file",
                "image_dir", "label_dir", "depth_dir", "normal_dir", "mask_dir"}  # fmt: skip


def overrides(name: str) -> list[str]:
    task = ["task=depth"] if name == "depth" else []
    return ["~experiment", f"data={name}", *task, "+data.root=FOLDER"]


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_of_a_dataset_can_be_set_and_has_its_default(name: str) -> None:
    with composed(*overrides(name)) as config:
        for split in ("train", "val"):
            stated: Any = OmegaConf.to_container(config.data[split], resolve=False)
            values: Any = OmegaConf.to_container(config.data[split], resolve=True)
            signature = inspect.signature(get_class(values.pop("_target_"))).parameters
            assert values.pop("_partial_") is True
            assert set(values) == set(signature)
            for key, value in values.items():
                default = signature[key].default
                if isinstance(default, tuple):
                    default = list(default)
                is_chosen = key in OF_ONE_SPLIT or "${" in str(stated[key])
                assert value == default or is_chosen, key


@pytest.mark.parametrize("name", NAMES)
def test_what_is_set_for_train_holds_for_val_unless_val_says_otherwise(name: str) -> None:
    """A unit that was given for training alone left the evaluation in millimeters."""
    with composed(*overrides(name)) as config:
        train, val = config.data.train, config.data.val
        for key in set(train) - OF_ONE_SPLIT - SHARED - {"_partial_"}:
            train[key] = "of train"
            assert val[key] == "of train", key
            val[key] = "of val"
            assert train[key] == "of train", key


def test_a_unit_given_for_train_reaches_the_validation_set(tmp_path: Path) -> None:
    setting = ["experiment=depth/general", f"data.root={tmp_path}", "data.train.unit_m=0.001"]
    with composed(*setting) as config:
        assert config.data.val.unit_m == 0.001
    with composed(*setting, "data.val.unit_m=1") as config:
        assert (config.data.train.unit_m, config.data.val.unit_m) == (0.001, 1)
