"""Samples, the annotations they carry, and the one warp that moves them all."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
