"""A random clothed person as a mesh, and the scene that shows it."""
