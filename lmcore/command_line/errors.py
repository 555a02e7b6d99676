"""How a command fails: with one line if the user can fix the error, and exit status 1."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Show an error as one line and exit with status 1; Ctrl-C exits with status 130."""
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        line = " ".join(str(error).split())
        sys.stderr.write(f"error: {line}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        sys.exit(130)
