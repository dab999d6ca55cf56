"""The package, its configs and its docs use the vocabulary of docs/conventions.md."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

IZE = "normali|initiali|optimi|organi|recogni|summari|visuali|rasteri|quanti"
TRUTH = r"(?<!ground )(?<!ground-)(?<!ground_)(?<!batch\.)truths?"
# What is not written, and what is instead.
WORDS = {
    r"pictures?|photographs?": "image",
    r"mirror\w*": "flip",
    r"by heart": "overfit",
    r"gr[e]y\w*": "gray",
    r"colours?|coloured": "color",
    r"centres?|centred": "center",
    r"(centi|milli|kilo)?metres?": "meter",
    r"neighbour\w*": "neighbor",
    r"behaviours?": "behavior",
    r"labell\w+": "labeled",
    r"licence\w*": "license",
    rf"\w*({IZE})s(e[sdr]?|ing|ation)\w*": "-ize",
    r"anew": "again",
    r"kin": "the like",
    r"whom": "that",
    r"(some|no)body": "someone, no one",
    r"upon": "on",
    r"(?<!standard )deviations?": "standard deviation",
    r"(the|a|its|their) shares?|shares? of": "fraction",
    TRUTH: "ground truth",
    r"(weights|position) tables?": "positional embedding",
    r"fur|curtains?|blots?": "hair, ..., noise",
    r"run lengths?": "RLE",
    r"(ms|milliseconds|MB|images|maps|scenes) an? (sample|second|step|scene|person|image)": "per",
}
# As a name in code it is as good as any.
ONLY_PROSE = {TRUTH}
# A file may need a word in another sense: its path, the word, the reason.
ALLOWED: dict[tuple[str, str], str] = {}


def texts() -> list[Path]:
    """Return the files that a user or reader sees."""
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "train.py", "evaluate.py")]
    pages += (ROOT / "docs").glob("*.md")
    pages += (ROOT / "configs").rglob("*.yaml")
    for folder in ("sapiens_lab", "benchmarks", "docs"):
        pages += (ROOT / folder).rglob("*.py")
    return sorted(pages)


def lines(path: Path, *, only_prose: bool) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a file, or those of a module's comments and strings.

    The table that names the other words is left out.
    """
    text = path.read_text()
    if path.name == "conventions.md":
        text = re.sub(r"^## Words\n.*?(?=^## |\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"(ground|standard)\n([ #]*)", r"\n\2\1 ", text)  # a term that a line end divides
    if not only_prose or path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield from enumerate(token.string.splitlines(), token.start[0])


@pytest.mark.parametrize("pattern", WORDS)
def test_one_word_for_one_thing(pattern: str) -> None:
    whole_word = rf"(?<![a-zA-Z])(?:{pattern})(?![a-zA-Z])"
    found = []
    for path in texts():
        name = path.relative_to(ROOT).as_posix()
        for number, line in lines(path, only_prose=pattern in ONLY_PROSE):
            words = {match[0].lower() for match in re.finditer(whole_word, line, re.IGNORECASE)}
            if any((name, word) not in ALLOWED for word in words):
                found.append(f"{name}:{number}: {line.strip()}")
    assert not found, f"write {WORDS[pattern]}:\n" + "\n".join(found)
