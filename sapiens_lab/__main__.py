"""``python -m sapiens_lab`` is the command ``sapiens``."""

from sapiens_lab.commands.main import PROGRAM, sapiens

if __name__ == "__main__":
    sapiens(prog_name=PROGRAM)
