"""The subcommands of ``sapiens``, a file each."""
