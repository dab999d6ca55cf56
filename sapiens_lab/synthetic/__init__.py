"""Rendered people: a dataset without a download, with every annotation from one scene."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
