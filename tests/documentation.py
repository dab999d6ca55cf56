"""Find what README and docs tell people to type: command lines, settings, code blocks."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


class Documented(NamedTuple):
    """A command or setting of a page, and the experiments that its section names before it."""

    where: str
    text: str
    experiments: tuple[str, ...]


def code_blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a page that are marked with ``language``, which may be empty."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for name, text in blocks if name == language]


def command_lines(page: Path) -> Iterator[str]:
    """Yield the lines of the plain code blocks, joined at backslashes and without comments."""
    for block in code_blocks(page, ""):
        for line in block.replace("\\\n", " ").splitlines():
            command = " ".join(shlex.split(line, comments=True, posix=False))
            yield from (part.strip() for part in command.split("&&") if part.strip())


def documented(*starts: str) -> list[Documented]:
    """Return the commands of all pages that begin so."""
    return [
        Documented(page.name, line, ())
        for page in PAGES
        for line in command_lines(page)
        if line.startswith(starts)
    ]


def settings() -> list[Documented]:
    """Return what stands as `key=value` in the prose and tables of the pages, each text once."""
    found: dict[str, Documented] = {}
    for page in PAGES:
        prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for section in re.split(r"^## ", prose, flags=re.MULTILINE):
            named = tuple(dict.fromkeys(re.findall(r"experiment=([a-z]+/[\w.]+)", section)))
            for span in re.findall(r"`([^`\n]+)`", section):
                if re.fullmatch(r"\+?[a-z][\w.]*=\S*( [a-z][\w.]*=\S*)*", span):
                    found.setdefault(span, Documented(page.name, span, named))
    return list(found.values())


def alternatives(text: str) -> Iterator[list[str]]:
    """Yield the overrides of `a=x|y b=z`, once for each choice."""
    words = []
    for word in shlex.split(text):
        key, _, values = word.partition("=")
        words.append([f"{key}={value}" for value in values.split("|")])
    yield from (list(choice) for choice in itertools.product(*words))
