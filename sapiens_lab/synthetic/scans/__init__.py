"""Views of a user's own scan."""
