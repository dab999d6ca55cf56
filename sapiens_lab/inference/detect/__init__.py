"""Where people are in an image: detectors, and boxes from a file."""
