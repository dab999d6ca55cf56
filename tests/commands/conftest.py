"""Fixtures of other folders that commands use as well."""

from tests.inference.conftest import photos, weights

__all__ = ["photos", "weights"]
