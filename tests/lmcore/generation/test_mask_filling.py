import pytest
import torch

from lmcore.config.tokenize import BytePairConfig
from lmcore.errors import UserError
from lmcore.generation.mask_filling import SpanRestoringGenerator, encode_with_masks, fill_masks
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["the list is sorted"] * 5, BytePairConfig(kind="byte_pair", vocabulary_size=280))


def test_a_mask_takes_the_place_of_a_word_and_of_the_space_before_it(tokenizer: Tokenizer) -> None:
    mask = tokenizer.vocabulary.mask_id
    before, after = tokenizer.encode("the"), tokenizer.encode(" sorted")
    assert encode_with_masks(tokenizer, "the [MASK] [MASK] sorted") == [*before, mask, mask, *after]
    assert encode_with_masks(tokenizer, "the ") == tokenizer.encode("the ")
    generator = SpanRestoringGenerator(None, tokenizer)  # type: ignore[arg-type]
    assert generator.encode("the [MASK]") == [*before, mask]
    assert generator.encode([3, 4]) == [3, 4]


def test_each_mask_gets_its_most_probable_token_which_is_no_special_one(tokenizer: Tokenizer) -> None:
    vocabulary = tokenizer.vocabulary
    expected, second = tokenizer.encode(" list")[0], tokenizer.encode(" is")[0]

    def model(tokens: torch.Tensor) -> torch.Tensor:
        assert tokens[0, 0] == vocabulary.start_id
        logits = torch.zeros(*tokens.shape, tokenizer.vocabulary.size)
        logits[..., vocabulary.mask_id] = 90.0
        logits[..., expected], logits[..., second] = 20.0, 19.0
        return logits

    found = fill_masks(model, tokenizer, "the [MASK] is sorted", 2)
    (candidates,) = found["candidates"]
    assert found["filled"] == f"the{tokenizer.decode([expected])} is sorted"
    assert list(candidates) == [tokenizer.decode([expected]), tokenizer.decode([second])]
    assert sum(candidates.values()) == pytest.approx(1)


def test_a_text_without_a_mask_is_an_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="there is no mask in 'the list'"):
        fill_masks(None, tokenizer, "the list", 1)
