"""Metrics as ``torchmetrics.Metric`` with functional cores.

Every metric computes a dict of defined numbers; what is undefined is left out and explained in
``undefined``.
"""
