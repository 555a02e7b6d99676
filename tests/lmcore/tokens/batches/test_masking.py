"""Masking: which tokens, how many, and that they depend on the step alone."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmcore.config.families import MaskingConfig
from lmcore.config.tokenize import BytePairConfig
from lmcore.tokens.batches.batches import IGNORED, WindowBatches
from lmcore.tokens.batches.masking import MaskedBatches, WordStarts, mask_tokens, word_starts
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.tokens.tokenizer.vocabulary import Vocabulary

VOCABULARY = Vocabulary(size=50, end_of_text_id=0, padding_id=1, mask_id=2)
SINGLE = MaskingConfig(mlm_probability=0.15, use_whole_words=False)
WHOLE = MaskingConfig(mlm_probability=0.15, use_whole_words=True)
# Tokens from 20 on go on with a word.
STARTS = WordStarts(begins=np.arange(50) < 20, ends=np.arange(50) < 3)


def draw_tokens(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCABULARY.size, shape)


def words_of(row: list[int]) -> list[list[int]]:
    """The positions of each word of a row, in order; special tokens are not words."""
    words: list[list[int]] = []
    goes_on = False
    for index, token in enumerate(row):
        if token < 3:
            goes_on = False
        elif goes_on and token >= 20:
            words[-1].append(index)
        else:
            words.append([index])
            goes_on = True
    return words


@given(seed=st.integers(0, 1000), share=st.floats(0.01, 0.99))
def test_the_share_is_met_and_nothing_else_is_touched(seed: int, share: float) -> None:
    tokens = draw_tokens(3, 20, seed=seed)
    config = SINGLE.model_copy(update={"mlm_probability": share})
    seen, targets = mask_tokens(tokens, VOCABULARY, config, np.random.default_rng(seed))
    predicted = targets != IGNORED
    assert predicted.sum() == max(1, round(share * (tokens >= 3).sum()))
    assert (targets[predicted] == tokens[predicted]).all()
    assert (seen[~predicted] == tokens[~predicted]).all()
    assert (tokens[predicted] >= 3).all()
    assert (seen[predicted] >= 2).all()


def test_of_the_predicted_eight_tenths_are_masked_one_is_replaced_and_one_stays() -> None:
    tokens = np.full((100, 1000), 7)
    seen, targets = mask_tokens(tokens, VOCABULARY, SINGLE, np.random.default_rng(0))
    predicted = seen[targets != IGNORED]
    assert (predicted == VOCABULARY.mask_id).mean() == pytest.approx(0.8, abs=0.01)
    counts = np.bincount(predicted, minlength=50)
    # Of 47 ordinary tokens one is 7 itself.
    assert counts[7] / len(predicted) == pytest.approx(0.1 + 0.1 / 47, abs=0.01)
    rest = np.delete(counts[3:], 4) / len(predicted)
    assert rest == pytest.approx(np.full(46, 0.1 / 47), abs=0.002)


@given(seed=st.integers(0, 1000))
def test_whole_words_are_predicted_or_not_at_all(seed: int) -> None:
    tokens = draw_tokens(4, 30, seed=seed)
    _, targets = mask_tokens(tokens, VOCABULARY, WHOLE, np.random.default_rng(seed), STARTS)
    predicted = targets != IGNORED
    longest = 0
    for row, flags in zip(tokens.tolist(), predicted.tolist(), strict=True):
        for word in words_of(row):
            assert len({flags[index] for index in word}) == 1
            longest = max(longest, len(word))
    wanted = max(1, round(WHOLE.mlm_probability * (tokens >= 3).sum()))
    assert wanted <= predicted.sum() < wanted + longest


def test_even_a_batch_of_one_token_has_a_target() -> None:
    for config in (SINGLE, WHOLE):
        _, targets = mask_tokens(np.array([[0, 5]]), VOCABULARY, config, np.random.default_rng(0), STARTS)
        assert targets.tolist() == [[IGNORED, 5]]


def test_a_batch_without_text_is_refused() -> None:
    with pytest.raises(ValueError, match="2 tokens contains only special tokens"):
        mask_tokens(np.array([[0, 1]]), VOCABULARY, SINGLE, np.random.default_rng(0))


def test_whole_words_need_to_know_where_words_begin() -> None:
    with pytest.raises(ValueError, match="pass starts=word_starts"):
        mask_tokens(draw_tokens(1, 9), VOCABULARY, WHOLE, np.random.default_rng(0))


def test_words_of_a_tokenizer_are_those_of_the_text() -> None:
    tokenizer = train_tokenizer([" fox ( stop\n" * 9], BytePairConfig(kind="byte_pair", vocabulary_size=270))
    text = "The naïve fox_1 says: don't\nstop unseen  (now) 今日は"
    ids = np.array([tokenizer.encode(text)])
    starts = word_starts(tokenizer).of(ids)[0]
    words = [tokenizer.decode(word.tolist()) for word in np.split(ids[0], np.flatnonzero(starts)[1:])]
    assert "".join(words) == text
    assert [word for word in (re.sub(r"^\W+", "", word) for word in words) if word] == re.findall(r"\w+", text)
    # White space in the same token belongs to the word.
    assert " fox_1" in words


def make_batches(seed: int = 1, config: MaskingConfig = SINGLE, end_of_text_id: int | None = None) -> MaskedBatches:
    stream = draw_tokens(401)
    windows = WindowBatches(
        stream,
        stream,
        sequence_length=20,
        batch_size=4,
        seed=seed,
        max_validation_windows=6,
        end_of_text_id=end_of_text_id,
    )
    return MaskedBatches(windows, VOCABULARY, config, seed=seed, starts=STARTS)


def test_masking_keeps_the_documents_of_the_windows() -> None:
    masked, plain = make_batches(end_of_text_id=0).training_batch(2), make_batches().training_batch(2)
    assert torch.equal(masked.tokens, plain.tokens)
    assert torch.equal(masked.arguments["document_ids"], (plain.tokens == 0).cumsum(dim=1))


@pytest.mark.parametrize("config", [SINGLE, WHOLE])
def test_a_step_always_gives_the_same_batch(config: MaskingConfig) -> None:
    first, again = make_batches(config=config), make_batches(config=config)
    first.training_batch(2)
    batch, same = first.training_batch(7), again.training_batch(7)
    assert torch.equal(batch.tokens, same.tokens)
    assert torch.equal(batch.targets, same.targets)
    assert batch.n_targets > 0


def test_an_epoch_reads_the_same_text_with_other_tokens_masked() -> None:
    batches = make_batches()

    def epoch(number: int) -> dict[tuple[int, ...], tuple[int, ...]]:
        """The targets of each window, by the text of the window."""
        masked = {}
        for step in range(5 * number, 5 * number + 5):
            batch = batches.training_batch(step)
            text = torch.where(batch.targets != IGNORED, batch.targets, batch.tokens)
            for row, targets in zip(text.tolist(), batch.targets.tolist(), strict=True):
                masked[tuple(row)] = tuple(targets)
        return masked

    first, second = epoch(0), epoch(1)
    assert len(first) == batches.n_examples == 20
    assert first.keys() == second.keys()
    assert sum(first[row] != second[row] for row in first) > 15


def test_validation_hides_the_same_tokens_always_and_for_every_seed() -> None:
    batches = list(make_batches().validation_batches())
    assert [len(batch.tokens) for batch in batches] == [4, 2]
    for other in (make_batches(), make_batches(seed=5)):
        for batch, same in zip(batches, other.validation_batches(), strict=True):
            assert torch.equal(batch.tokens, same.tokens)
            assert torch.equal(batch.targets, same.targets)
