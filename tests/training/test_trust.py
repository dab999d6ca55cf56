"""A run of another person is data: what its overrides may say, and what needs to be allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sapiens_lab.training import trust
from sapiens_lab.training.trust import recorded_words, sign_run

CONFIGS = [Path(__file__).parents[2] / "configs"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAPIENS_LAB_CACHE", str(tmp_path / "cache"))


def recorded(folder: Path, *words: object) -> Path:
    path = folder / "run" / "overrides.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(list(words)))
    return path


@pytest.mark.parametrize(
    "word",
    [
        "experiment=pose/coco17",
        "optimizer.lr=1e-4",
        "data.root=/data/coco",
        "data.root=../coco",
        "data.train.annotation_file=../a.json",
        "weights=hf://owner/repo",
        "weights=/models/a.safetensors",
        "skeleton=../mine.yaml",
        "~callbacks.images",
        "image_size=[64,48]",
        "model.head={_target_:sapiens_lab.models.heads.DeconvHead,out_channels:3}",
        "task.loss._target_=sapiens_lab.losses.pose.HeatmapOHKMLoss",
        "+trainer.max_time=00:01:00:00",
        "task.weight=${optimizer.lr}",
        "experiment_name=mine",
        "data.train.num_scenes=64",
    ],
)
def test_values_and_known_classes_are_applied(tmp_path: Path, word: str) -> None:
    assert recorded_words(recorded(tmp_path, word), CONFIGS, is_trusted=False) == [word]


HOSTILE = [
    "+callbacks.x._target_=os.system",
    "+callbacks.x._target_=sapiens_lab.cache.write_atomically",
    "+callbacks.x={_target_:pathlib.Path.touch,_args_:[/tmp/x]}",
    "+callbacks.x={a:[{b:{_target_:builtins.eval}}]}",
    "optimizer._target_=${output_root}",
    "+callbacks.x='${oc.create:\"{_target_: os.system}\"}'",
    "+callbacks.x=${oc.decode:${output_root}}",
    "experiment_name=${oc.env:HOME}",
    "hydra.run.dir=/tmp/x",
    "hydra.searchpath=[file:///tmp/evil]",
    "+hydra.callbacks.x._target_=os.system",
    "hydra/launcher=evil",
    "callbacks=../../../../tmp/evil",
    "+callbacks@trainer.plugins=/tmp/evil",
    "data=/tmp/evil",
    "data@hydra.run=x",
    "output_root=/etc",
    "output_root=~/x",
    "experiment_name=../../x",
    "logger.csv.path=/home/x/.bashrc",
    "callbacks.best.dirpath=/tmp",
    "+data.train.cache_dir=/etc",
    "trainer.default_root_dir=/etc",
    "trainer.plugins=null",
    "trust_run=true",
    "limit_scale=1000",
    "backbone.name=hf_hub:evil/model",
    "optimizer.lr=choice(1,2)",
    "optimizer.lr=1,2",
    "a b c",
    "x={" * 2000,
]


@pytest.mark.parametrize("word", HOSTILE)
def test_what_chooses_calls_or_places_is_listed(tmp_path: Path, word: str) -> None:
    path = recorded(tmp_path, "optimizer.lr=1e-4", word)
    with pytest.raises(
        ValueError, match=r"(?s)overrides\.yaml was not written by this user.*trust_run=true"
    ) as caught:
        recorded_words(path, CONFIGS, is_trusted=False)
    assert word[:200] in str(caught.value)
    assert "optimizer.lr=1e-4" not in str(caught.value)
    assert recorded_words(path, CONFIGS, is_trusted=True)[1] == word


def test_classes_of_ones_own_configs_are_known(tmp_path: Path) -> None:
    (tmp_path / "mine/callbacks").mkdir(parents=True)
    (tmp_path / "mine/callbacks/own.yaml").write_text("own:\n  _target_: own.Callback  # mine\n")
    path = recorded(tmp_path, "+callbacks.own._target_=own.Callback")
    assert recorded_words(path, [*CONFIGS, tmp_path / "mine"], is_trusted=False)


def test_ones_own_run_is_applied_as_it_is_until_it_is_changed(tmp_path: Path) -> None:
    words = ["+callbacks.x._target_=own.Callback", "output_root=/scratch"]
    path = recorded(tmp_path, *words)
    sign_run(path)
    assert recorded_words(path, CONFIGS, is_trusted=False) == words
    moved = tmp_path / "moved"
    path.parent.rename(moved)
    assert recorded_words(moved / path.name, CONFIGS, is_trusted=False) == words
    (moved / path.name).write_text(yaml.safe_dump([*words, "+callbacks.y._target_=os.system"]))
    with pytest.raises(ValueError, match="not written by this user"):
        recorded_words(moved / path.name, CONFIGS, is_trusted=False)


def test_another_users_signature_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recorded(tmp_path, "+callbacks.x._target_=own.Callback")
    sign_run(path)
    monkeypatch.setenv("SAPIENS_LAB_CACHE", str(tmp_path / "other"))
    with pytest.raises(ValueError, match="not written by this user"):
        recorded_words(path, CONFIGS, is_trusted=False)
    sign_run(recorded(tmp_path, "a=1"))
    key = tmp_path / "other" / "run_key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_without_a_cache_a_run_stays_unsigned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAPIENS_LAB_CACHE", str(tmp_path / "file" / "x"))
    path = recorded(tmp_path, "a=1")
    sign_run(path)
    assert not path.with_name(trust.SIGNATURE_FILE).exists()


@pytest.mark.parametrize("text", ["{a: 1}", "[1, 2]", "[[a]]", "x", "!!python/name:os.system", "["])
def test_what_is_no_list_of_words_is_named(tmp_path: Path, text: str) -> None:
    path = recorded(tmp_path)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"overrides\.yaml is n"):
        recorded_words(path, CONFIGS, is_trusted=True)


def test_a_run_without_a_record_has_no_words(tmp_path: Path) -> None:
    assert recorded_words(tmp_path / "overrides.yaml", CONFIGS, is_trusted=False) == []
