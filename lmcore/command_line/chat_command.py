"""``lmcore chat``: the short form of ``lmcore generate --chat``."""

from collections.abc import Sequence

from lmcore.command_line import generate


def main(arguments: Sequence[str]) -> None:
    """Run the command line ``arguments``."""
    generate.main(["--chat", *arguments])
