"""Datasets: each yields source-frame samples and knows nothing of augmentation."""
