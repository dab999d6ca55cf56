"""Read annotations of other tools and formats to one form; see ``annotated.py``."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
