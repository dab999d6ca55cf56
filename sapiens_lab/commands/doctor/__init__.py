"""``sapiens doctor``: what is examined, a file each, and the pages that show it."""
