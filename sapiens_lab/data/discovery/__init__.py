"""Finding images and annotations below a folder."""
