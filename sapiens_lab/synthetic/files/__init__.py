"""Scenes as files: the cache of training, and folders for other programs."""
