"""Run a model on images: sources, people, predictions at the size of the image, files."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
