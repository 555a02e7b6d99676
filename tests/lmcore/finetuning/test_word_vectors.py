import gzip
from pathlib import Path

import pytest
import torch
from torch import nn

from lmcore.config.tokenize import WordsConfig
from lmcore.finetuning.word_vectors import WordVectorEmbedding, read_vectors
from lmcore.tokens.tokenizer.training import train_tokenizer

WORDS = train_tokenizer(
    ["good good films , good", "bad films"],
    WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=True),
)
LINES = "the 1 2 3\ngood 0.5 -1e-2 3\nGood 9 9 9\n, 1 1 1\ngood 7 7 7\nnew york 4 5 6\n2002 4 5 6\n"


def write(folder: Path, text: str, name: str = "vectors.txt") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("header", ["", "6 3\n"])
def test_words_that_can_be_tokens_have_their_first_vector(tmp_path: Path, name: str, header: str) -> None:
    vectors = read_vectors(write(tmp_path, header + LINES, name), WORDS)
    found = dict(zip(vectors.words, vectors.values.tolist(), strict=True))
    assert found == {"the": [1, 2, 3], "good": pytest.approx([0.5, -0.01, 3]), ",": [1, 1, 1], "2002": [4, 5, 6]}


def test_a_file_with_more_lines_than_are_read_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(f"word{number} {number}\n" for number in range(25_000)) + "films 2\n")
    vectors = read_vectors(path, WORDS)
    assert vectors.words[-2:] == ("word24999", "films")
    assert vectors.values[-2:].tolist() == [[24_999], [2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good 1 2 3\nbad 1 2\n", r"vectors.txt, line 2: .*expected a word and a vector of 3"),
        (
            "6 3\ngood 1 2 x\n",
            r"vectors.txt, line 2: .*'x'; expected a word and a vector of 3",
        ),
        ("good 1 2 3\n\n", r"vectors.txt, line 2: "),
        ("Other 1 2 3\n", r"vectors.txt: none of its words is a token; .*kind `words`"),
        ("good\n", r"vectors.txt, line 1: .*expected a word and a vector"),
        ("", r"vectors.txt: none of its words is a token"),
    ],
)
def test_an_invalid_file_is_an_error_that_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_vectors(write(tmp_path, text), WORDS)


def make_embedding() -> tuple[WordVectorEmbedding, torch.Tensor, torch.Tensor]:
    """Five rows of which the first and the last have no vector, and three more tokens with one."""
    torch.manual_seed(1)
    rows, vectors = torch.randn(5, 6), torch.randn(8, 4)
    vectors[[0, 4]] = 0.0
    return WordVectorEmbedding(rows, vectors), rows, vectors


def test_it_starts_from_the_vectors_at_the_length_of_the_rows_that_they_replace() -> None:
    embedding, rows, vectors = make_embedding()
    start = embedding(torch.arange(8)).detach()
    assert torch.equal(start[[0, 4]], rows[[0, 4]])
    # The map keeps angles, so that words that are alike stay so.
    has_vector = [1, 2, 3, 5, 6, 7]
    expected, found = vectors[has_vector], start[has_vector]
    torch.testing.assert_close(
        torch.cosine_similarity(found[:, None], found[None], dim=2),
        torch.cosine_similarity(expected[:, None], expected[None], dim=2),
    )
    assert found.norm(dim=1).square().mean().item() == pytest.approx(rows.norm(dim=1).square().mean().item())


def test_merged_it_gives_the_same_embeddings() -> None:
    embedding, _, _ = make_embedding()
    nn.init.normal_(embedding.projection)
    nn.init.normal_(embedding.weight)
    merged = embedding.merged()
    assert merged.weight.requires_grad
    tokens = torch.tensor([[0, 7, 4], [5, 1, 1]])
    torch.testing.assert_close(merged(tokens), embedding(tokens))


def test_training_moves_words_that_it_never_meets_only_with_the_map() -> None:
    embedding, _, _ = make_embedding()
    optimizer = torch.optim.SGD(embedding.parameters(), lr=0.1)
    before = embedding.vectors.clone()
    embedding(torch.tensor([1, 2, 4])).square().sum().backward()
    optimizer.step()
    assert torch.equal(embedding.vectors, before)
    expected = embedding.vectors[6] @ embedding.projection * embedding.scale
    torch.testing.assert_close(embedding(torch.tensor(6)), expected)
    assert "vectors" not in embedding.state_dict()
