import gzip
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

from lmcore.config.tokenize import WordsConfig
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.folder import load_classifier, save_classifier
from lmcore.finetuning.classification.prediction import predict
from lmcore.finetuning.word_vectors import WordVectorEmbedding, add_word_vectors, merge_word_vectors, read_vectors
from lmcore.models.families import build_model
from lmcore.models.trainable import TextEncoder
from lmcore.tokens.batches.batches import ExampleBatches
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.lstm.test_lstm import CONFIG as LSTM_CONFIG
from tests.lmcore.models.small_models import CONFIGS
from tests.lmcore.training.test_loop import run

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


TEXTS = ["a good film", "a film", "an awful film", "tedious", "a"]
"""The last two words have a vector, but no training text has them."""


@pytest.mark.parametrize("family", ["lstm", "gpt", "bert", "encoder_decoder"])
def test_a_classifier_with_word_vectors_reads_words_that_no_training_text_has(family: str, tmp_path: Path) -> None:
    words = WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=True)
    tokenizer = train_tokenizer(["a good film", "a bad film"], words)
    (tmp_path / "vectors.txt").write_text("good 1 -2 3\nawful -3 2 1\ntedious -3 2 1.5\nGood 9 9 9\n")
    torch.manual_seed(0)
    model = build_model((CONFIGS | {"lstm": LSTM_CONFIG})[family], tokenizer.vocabulary)
    assert isinstance(model, TextEncoder)
    (larger,), all_words = add_word_vectors([model], tokenizer, tmp_path / "vectors.txt")
    assert all_words.vocabulary.size == tokenizer.vocabulary.size + 2
    assert all_words.decode(all_words.encode("a tedious bad film")) == "a tedious bad film"
    without = torch.tensor([tokenizer.encode("a bad film")])
    torch.testing.assert_close(
        larger.eval().features(without, without > 0), model.eval().features(without, without > 0)
    )

    classifier = Classifier(larger, ("no", "yes"), max_tokens=8)
    torch.nn.init.normal_(classifier.head.weight)
    before = predict(classifier, all_words, TEXTS)
    assert abs(before[2, 0] - before[3, 0]) > 1e-4
    merge_word_vectors(larger)
    torch.testing.assert_close(predict(classifier, all_words, TEXTS), before)
    save_classifier(tmp_path / "classifier", classifier, all_words, {})
    torch.testing.assert_close(predict(*load_classifier(tmp_path / "classifier"), TEXTS), before)


def make_ensemble(folder: Path) -> Classifier:
    torch.manual_seed(0)
    config = LSTM_CONFIG.model_copy(update={"input_dropout": 0.2, "weight_dropout": 0.2})
    models = [build_model(config, WORDS.vocabulary) for _ in range(2)]
    (first, second), _ = add_word_vectors(cast("list[TextEncoder]", models), WORDS, write(folder, LINES))
    return Classifier(first, ("no", "yes"), max_tokens=8, others=[second])


def test_an_interrupted_training_of_an_ensemble_with_vectors_ends_with_the_same_bits(tmp_path: Path) -> None:
    examples = [([0, 4 + number % 4, 5, 6][: 2 + number % 3], number % 2) for number in range(24)]
    batches = ExampleBatches(examples, examples[:4], batch_size=4, seed=1, padding=WORDS.vocabulary.padding_id)
    whole, parts, again = (make_ensemble(tmp_path) for _ in range(3))
    before = {name: weight.clone() for name, weight in whole.state_dict().items()}
    record, _ = run(tmp_path / "whole", whole, batches, max_steps=12)
    loss, calls = parts.loss, iter(range(8))

    def limited(*arguments: Any, **options: Any) -> torch.Tensor:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return loss(*arguments, **options)

    parts.loss = limited  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", parts, batches, max_steps=12)
    assert run(tmp_path / "parts", again, batches, max_steps=12)[0] == record
    for name, weight in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name
        assert not torch.equal(before[name], weight), name
