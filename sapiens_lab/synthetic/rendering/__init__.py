"""What renders any mesh: camera, rasterizer, light and background."""
