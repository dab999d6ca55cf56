"""The verbs of the command ``sapiens``, a file each."""
