"""``lmcore chat``: the short form of ``lmcore generate --chat``."""

from collections.abc import Sequence

from lmcore.command_line.errors import errors_in_one_line
from lmcore.command_line.generate import run
from lmcore.command_line.generation_options import make_parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (or ``arguments``)."""
    options = make_parser(is_chat=True).parse_args(arguments)
    with errors_in_one_line():
        run(options)
