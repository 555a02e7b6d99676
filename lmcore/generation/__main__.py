"""``python -m lmcore.generation``: see :mod:`lmcore.generation.cli`."""

from lmcore.generation.cli import main

if __name__ == "__main__":
    main()
