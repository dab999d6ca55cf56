"""Losses on tensors; masking and reduction are written here and nowhere else."""
