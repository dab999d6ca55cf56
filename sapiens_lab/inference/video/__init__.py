"""Videos and cameras: frames in order, people followed, overlays written as they come."""
