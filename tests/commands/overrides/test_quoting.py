"""Values that Hydra's grammar cannot read arrive as what was typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from sapiens_lab.commands.overrides.accepting import accept_argument
from sapiens_lab.commands.overrides.quoting import assignment, expand_home, quote_values, text_of
from sapiens_lab.training.runs import merge_overrides


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.chdir(tmp_path)


def parsed(word: str) -> object:
    [override] = OverridesParser.create().parse_overrides([word])
    assert not override.is_sweep_override()
    return override.value()


@pytest.mark.parametrize(
    "text",
    [
        "My Fish (1)",
        "données",
        "写真",
        "Bob's data",
        "x'y\"z",
        "epoch=3.ckpt",
        "a\\'b",
        "C:\\x (1)\\",
        "a&b",
        "x#1",
        "choice(1",
        "1e-4;",
        "~nobody_of_that_name/x",
    ],
)
def test_a_value_that_the_grammar_cannot_read_is_text(text: str) -> None:
    [word] = quote_values([f"data.root={text}"])
    assert parsed(word) == text
    assert quote_values([word]) == [word]
    assert text_of(word) == text
    assert parsed(assignment("data.root", text)) == text


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("~/fish", "/home/ada/fish"),
        ("~", "/home/ada"),
        ("~/My Fish (1)", "/home/ada/My Fish (1)"),
        ("'~/fish'", "/home/ada/fish"),
        ("[~/a,~/b]", ["/home/ada/a", "/home/ada/b"]),
        ("a~b.d/~/c", "a~b.d/~/c"),
    ],
)
def test_a_tilde_is_the_home_folder(typed: str, value: object) -> None:
    [word] = quote_values([f"+data.root={typed}"])
    assert parsed(word) == value


@pytest.mark.parametrize(
    "word",
    [
        "seed=1",
        "image_size=[64,48]",
        "~callbacks.x",
        "+a={b:1}",
        "a=${b}",
        "a=[",
        "seed",
        "=5",
        "optimizer.lr=1,2",
        "a=glob(*)",
        "experiment=pose/coco17",
        "a='My Fish (1)'",
        "~tune",
    ],
)
def test_what_the_grammar_reads_stays(word: str) -> None:
    assert quote_values([word]) == [word]


def test_a_file_with_a_comma_is_not_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "a,b").mkdir()
    assert quote_values(["data.root=a,b", "data.root=a,c"]) == ["data.root='a,b'", "data.root=a,c"]


def test_a_tilde_in_a_config_file_is_the_home_folder() -> None:
    config = OmegaConf.create({"root": "~/x", "all": ["~/y", 1, None], "of": "${root}", "z": "~"})
    OmegaConf.set_struct(config, True)
    expand_home(config)
    assert OmegaConf.to_container(config, resolve=True) == {
        "root": "/home/ada/x",
        "all": ["/home/ada/y", 1, None],
        "of": "/home/ada/x",
        "z": "~",
    }


def test_what_only_the_earlier_run_has_can_be_deleted() -> None:
    old = ["+callbacks.x={a:1}", "seed=1", "~logger"]
    new = ["~callbacks.x", "seed=2", "~logger"]
    assert merge_overrides(old, new) == ["+callbacks.x={a:1}", *new]
    assert merge_overrides(["~logger", "~x"], ["logger=csv"]) == ["~x", "logger=csv"]


def test_a_deletion_of_what_another_one_feeds_comes_first() -> None:
    """``data.val.layout`` is ``${data.train.layout}``."""
    words = ["seed=1", "~data.train.layout", "~data.val.layout"]
    message = "Error merging override ~data.val.layout"
    expected = ["seed=1", "~data.val.layout", "~data.train.layout"]
    assert accept_argument(words, message, lambda _: OmegaConf.create()) == expected
    assert accept_argument(expected, message, lambda _: OmegaConf.create()) is None
