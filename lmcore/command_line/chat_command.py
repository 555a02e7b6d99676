"""``lmcore chat``: the short form of ``lmcore generate --chat``."""

import sys
from collections.abc import Sequence

from lmcore.command_line import generate


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (or ``arguments``)."""
    generate.main(["--chat", *(sys.argv[1:] if arguments is None else arguments)])
