"""Metrics as ``torchmetrics.Metric`` with functional cores.

Every metric computes a dict of values by name; what is undefined is left out and explained in
``undefined``.
"""
