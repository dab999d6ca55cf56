"""What an argument may be, said in its annotation: ``lr: Positive``.

The command line reads these annotations and answers a value outside of its range before anything
is imported. For a type checker they are ``int`` and ``float``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The numbers that are allowed."""

    low: float | None = None
    high: float | None = None
    above: float | None = None  # not this number itself
    below: float | None = None  # not this number itself


Count = Annotated[int, Range(low=1)]
Whole = Annotated[int, Range(low=0)]
Positive = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(low=0)]
Fraction = Annotated[float, Range(low=0, high=1)]
BelowOne = Annotated[float, Range(low=0, below=1)]
Within = Annotated[float, Range(above=0, below=1)]
ImageSize = tuple[Count, Count]  # (height, width)
