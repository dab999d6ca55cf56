"""What ``Predictor`` gives is what ``evaluate.py`` measures, bit for bit on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray

from sapiens_lab.commands.build import silence
from sapiens_lab.inference.predictor import Predictor
from sapiens_lab.inference.results.pose import PoseResult
from sapiens_lab.inference.results.result import MultiResult, Result
from sapiens_lab.training.metadata import describe_run
from sapiens_lab.weights.model import save_model
from tests.test_configs import composed

TINY = (
    "image_size=[64,48]",
    "head_width=8",
    "data.train.num_scenes=2",
    "data.val.num_scenes=3",
    "data.train.image_size=[80,100]",
    "data.val.image_size=[80,100]",
    "data.batch_size=3",
    "data.num_workers=0",
)
NAMES = {
    "pose": ("keypoints", "scores"),
    "segmentation": ("labels",),
    "depth": ("depth",),
    "normal": ("normal",),
}


class Record(L.Callback):
    """Keeps what an evaluation predicts."""

    def __init__(self) -> None:
        self.predictions: list[Any] = []

    def on_test_batch_end(self, *arguments: Any, **_: Any) -> None:
        self.predictions += arguments[2]["predictions"]


def evaluated(experiment: str, folder: Path, *overrides: str) -> tuple[list[Any], Any]:
    """Evaluate random weights and export them; return predictions and the dataset."""
    silence()  # warnings of Lightning that a command does not show either
    with composed(f"experiment={experiment}", *TINY, *overrides) as config:
        datamodule = instantiate(config.data, _convert_="all")
        learner = instantiate(config.learner, _convert_="all")
    # Balanced losses count their classes in the training set, and a checkpoint would bring them.
    learner.task.setup(train=datamodule.dataset("train"), val=datamodule.dataset("val"))
    torch.manual_seed(0)
    for parameter in learner.model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    record = Record()
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[record],
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.test(learner, datamodule=datamodule, verbose=False)
    described = describe_run(learner.model, learner.task, datamodule)
    save_model(learner.model, folder, task=described.task, input=described.input)
    return record.predictions, datamodule.dataset("test")


def array(prediction: Any, name: str) -> NDArray[Any]:
    value = getattr(prediction, name)
    if isinstance(value, torch.Tensor):
        value = value.cpu().numpy()
    return np.asarray(value.transpose(1, 2, 0) if name == "normal" else value)


def check(result: Result, prediction: Any) -> None:
    for name in NAMES[result.task]:
        ours, theirs = getattr(result, name), array(prediction, name)
        assert len(np.unique(theirs)) > 2, name  # not all the same
        np.testing.assert_array_equal(ours[0] if isinstance(result, PoseResult) else ours, theirs)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("task", [*NAMES, "multitask"])
def test_predictions_are_those_of_the_evaluation(task: str, flip: bool, tmp_path: Path) -> None:
    multitask = task == "multitask"
    predictions, dataset = evaluated(f"{task}/synthetic", tmp_path, f"flip_test={flip}")
    samples = [dataset[i] for i in range(len(dataset))]
    predictor = Predictor.from_pretrained(tmp_path, device="cpu", batch_size=3)
    boxes = [[sample.bbox] for sample in samples] if predictor.networks[0].takes_boxes else None
    assert (boxes is not None) == (task == "pose")
    assert predictor.networks[0].task.flip_test == flip
    results = list(predictor([sample.image.pixels for sample in samples], boxes=boxes))
    assert len(results) == len(predictions) == 3
    for result, prediction in zip(results, predictions, strict=True):
        assert isinstance(result, MultiResult) == multitask
        for name in result if multitask else (None,):
            check(
                result if name is None else result[name],
                prediction if name is None else prediction[name],
            )


def test_one_task_of_several_is_the_same_as_all_of_them(tmp_path: Path) -> None:
    _, dataset = evaluated("multitask/synthetic", tmp_path)
    image = dataset[0].image.pixels
    together = Predictor.from_pretrained(tmp_path, device="cpu")(image)
    alone = Predictor.from_pretrained(tmp_path, task="segmentation", device="cpu")(image)
    np.testing.assert_array_equal(alone.labels, together["segmentation"].labels)
    assert set(together) == set(NAMES)
    with pytest.raises(ValueError, match="multitask, not for pretrain"):
        Predictor.from_pretrained(tmp_path, task="pretrain")
