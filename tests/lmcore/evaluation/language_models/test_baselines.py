from types import SimpleNamespace

import numpy as np
import pytest

from lmcore.evaluation.language_models.baselines import SeenDocuments, train_ngram_on_seen, unigram_log_probabilities
from lmcore.models.ngram.kneser_ney import KneserNey

END = 9


def test_spans_of_a_stream_are_split_at_end_tokens_and_only_their_first_document_is_continued():
    #                  span 0 -------------------|span 1 -------
    tokens = np.array([1, 2, END, 3, 4, END, 5, 6, 7, END, 8, END])
    seen = SeenDocuments.from_spans(tokens, np.array([0, 7, 12]), END)
    assert seen.offsets.tolist() == [0, 3, 6, 7, 10, 12]
    assert seen.continued.tolist() == [True, False, False, True, False]


def test_an_n_gram_model_of_one_span_is_nearly_that_of_its_documents():
    generator = np.random.default_rng(0)
    tokens = np.where(generator.random(3000) < 0.1, END, generator.integers(0, END, 3000))
    tokens[-1] = END
    ends = np.flatnonzero(tokens == END) + 1
    options = {"order": 3, "vocabulary_size": END + 1, "start_token": END}
    seen = SeenDocuments.from_spans(tokens, np.array([0, 3000]), END)
    ours = KneserNey.train(seen.tokens, seen.offsets, continued=seen.continued, **options)
    whole = KneserNey.train(tokens, np.concatenate(([0], ends)), **options)
    # Only the first document differs: what precedes its first token is not known.
    difference = np.abs(ours.distribution([1, 2]) - whole.distribution([1, 2]))
    assert difference.max() < 1e-3


def test_unigrams_are_token_frequencies_with_add_one_smoothing() -> None:
    probabilities = np.exp(unigram_log_probabilities(np.array([3, 3, 4], np.uint16), 5))
    assert probabilities == pytest.approx(np.array([1, 1, 1, 3, 2]) / 8)


@pytest.mark.parametrize(("n_windows", "is_all_seen"), [(150, False), (300, True), (500, True)])
def test_there_is_no_second_n_gram_model_of_a_training_that_has_seen_everything(n_windows, is_all_seen) -> None:
    tokens = np.random.default_rng(1).integers(0, END + 1, 3007).astype(np.uint16)
    shards = SimpleNamespace(tokens=lambda _: tokens, vocabulary_size=END + 1, end_of_text_id=END)
    drawn = {"kind": "windows", "sequence_length": 10, "n_windows": n_windows, "seed": 1}
    assert (train_ngram_on_seen(shards, 2, drawn) is None) == is_all_seen  # type: ignore[arg-type]
