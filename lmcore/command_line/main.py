"""The command ``lmcore``, which runs its subcommands; its own help needs no import of PyTorch."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple


class Command(NamedTuple):
    """A subcommand: the module whose ``main`` runs it, and its line in the help."""

    module: str
    summary: str


COMMANDS = {
    "generate": Command("lmcore.command_line.generate", "continue prompts with a model, or chat with it"),
    "chat": Command("lmcore.command_line.chat_command", "chat with a model, as `generate --chat`"),
    "evaluate": Command("lmcore.command_line.evaluate", "score a text file with a model, or a file of labeled texts"),
    "convert": Command("lmcore.command_line.convert", "convert a model from or to Hugging Face transformers"),
}
EPILOG = """\
examples:
  lmcore generate models/language-model --prompt "Return the"
  lmcore chat models/finetuned/chat
  lmcore evaluate models/language-model held-out.txt
  lmcore convert gpt2 models/gpt2

`lmcore COMMAND --help` describes a command.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the subcommand that the command line (or ``arguments``) names."""
    parser = argparse.ArgumentParser(
        prog="lmcore",
        usage="lmcore [-h] COMMAND ...",
        description="Use language models from the command line.\n\ncommands:\n"
        + "\n".join(f"  {name:<10}{command.summary}" for name, command in COMMANDS.items()),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help=argparse.SUPPRESS)
    parser.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    import_module(COMMANDS[options.command].module).main(options.arguments)
