"""``python -m lmcore.generation``: see :mod:`lmcore.command_line.generate`."""

from lmcore.command_line.generate import main

if __name__ == "__main__":
    main()
