"""What the loss compares, what an output means in the source image, what the metric sees."""
