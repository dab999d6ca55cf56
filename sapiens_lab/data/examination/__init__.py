"""Examine datasets that are built: what takes longer than a dataset may take to be built."""
