"""What a body is, as data: keypoint sets and part lists, each one YAML file."""

from sapiens_lab.lazy import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
