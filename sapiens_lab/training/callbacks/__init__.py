"""Callbacks: what a run shows while it goes on, and what it leaves behind."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
