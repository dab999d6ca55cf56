"""The loop of training, and what a run leaves behind."""
