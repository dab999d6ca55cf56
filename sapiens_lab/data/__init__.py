"""Samples, the annotations they carry, and the one warp that moves them all."""
