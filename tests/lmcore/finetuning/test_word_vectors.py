import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from lmcore.config.tokenize import WordsConfig
from lmcore.finetuning.word_vectors import read_vectors, start_from
from lmcore.tokens.tokenizer.training import train_tokenizer

WORDS = train_tokenizer(
    ["good good films , good", "bad films"],
    WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=True),
)
LINES = "the 1 2 3\ngood 0.5 -1e-2 3\nGood 9 9 9\n, 1 1 1\ngood 7 7 7\nnew york 4 5 6\n"


def write(folder: Path, text: str, name: str = "vectors.txt") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("header", ["", "6 3\n"])
def test_words_that_are_tokens_get_their_first_vector(tmp_path: Path, name: str, header: str) -> None:
    vectors = read_vectors(write(tmp_path, header + LINES, name), WORDS, 3)
    found = dict(zip(vectors.token_ids.tolist(), vectors.values.tolist(), strict=True))
    (good,), (comma,) = WORDS.encode("good"), WORDS.encode(",")
    assert found == {good: pytest.approx([0.5, -0.01, 3]), comma: [1, 1, 1]}


def test_a_file_with_more_lines_than_are_read_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(f"word{number} 1\n" for number in range(25_000)) + "films 2\n")
    assert read_vectors(path, WORDS, 1).values.tolist() == [[2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good 1 2 3\nbad 1 2\n", r"vectors.txt, line 2: .*expected a vector of 3"),
        ("good 1 2 x\n", r"vectors.txt, line 1: could not convert .*'x'; expected a word and a vector of 3 numbers"),
        ("good 1 2 3\n\n", r"vectors.txt, line 2: "),
        ("other 1 2 3\n", r"vectors.txt: none of its words is a token; .*kind `words`"),
        ("", r"vectors.txt: none of its words is a token"),
    ],
)
def test_an_invalid_file_is_an_error_that_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_vectors(write(tmp_path, text), WORDS, 3)


def test_vectors_replace_their_rows_at_the_length_of_these(tmp_path: Path) -> None:
    vectors = read_vectors(write(tmp_path, LINES), WORDS, 3)
    before = torch.randn(WORDS.vocabulary.size, 3)
    table = torch.nn.Parameter(before.clone())
    start_from(table, vectors)
    rows = vectors.token_ids.tolist()
    others = [token for token in range(len(before)) if token not in rows]
    assert torch.equal(table[others], before[others])
    ratio = table[rows].detach().numpy() / vectors.values
    np.testing.assert_allclose(ratio, np.full((len(rows), 3), ratio[0, 0]), rtol=1e-4)
    assert table[rows].norm().item() == pytest.approx(before[rows].norm().item(), rel=1e-5)
