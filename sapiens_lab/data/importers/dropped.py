"""What an import leaves out, by reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


def printable(text: str) -> str:
    """Return a name without what moves a terminal's cursor or no file can hold."""
    return "".join(c if c.isprintable() else "?" for c in text)


@dataclass(slots=True)
class Dropped:
    """Counts by reason, and the first item of each."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, item: str = "", count: int = 1) -> None:
        """Count items that are left out."""
        if count:
            self.counts[reason] = self.counts.get(reason, 0) + count
            self.examples.setdefault(reason, printable(item[:120]))

    def lines(self) -> Iterator[str]:
        """Return a line per reason, the most frequent first."""
        for reason, count in sorted(self.counts.items(), key=lambda pair: -pair[1]):
            item = self.examples[reason]
            yield f"{count} {reason}" + (f", e.g. {item}" if item else "")
