"""Overrides of a command line, completed and checked before anything heavy is imported."""
