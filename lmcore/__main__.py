"""``python -m lmcore``: the command ``lmcore``, see :mod:`lmcore.command_line.main`."""

from lmcore.command_line.main import main

if __name__ == "__main__":
    main()
