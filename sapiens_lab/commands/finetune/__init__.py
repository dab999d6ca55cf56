"""What the folder and the number of samples decide, as overrides beneath the user's own."""
