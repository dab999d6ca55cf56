"""What a body is, as data: keypoint sets and part lists, each one YAML file."""
