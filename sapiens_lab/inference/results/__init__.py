"""What is predicted in one image: arrays at its size, drawings, files."""
