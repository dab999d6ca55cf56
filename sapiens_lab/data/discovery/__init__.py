"""Find images and annotations below a folder."""
