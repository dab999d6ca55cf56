"""What the loss compares, what an output means in the source picture, what the metric sees."""
