"""A prompt is read from its start: the end token, as much of the prompt as fits, and the separator."""

import pytest

from lmcore.config.tokenize import BytePairConfig
from lmcore.models.prompt import PromptFormat, encode_prompt, encode_prompt_and_count
from lmcore.tokens.tokenizer.training import train_tokenizer

TOKENIZER = train_tokenizer(["a"], BytePairConfig(kind="byte_pair", vocabulary_size=259))
"""Every byte is a token."""
FORMAT = PromptFormat(separator="\n=>", max_prompt_tokens=4, max_completion_tokens=6)


@pytest.mark.parametrize(
    ("prompt", "read", "n_tokens"),
    [("", "", 0), ("abcd", "abcd", 4), ("abcde", "abcd", 5), ("ééé", "éé", 6), ("a\n=>b", "a\n=>", 5)],
)
def test_a_prompt_keeps_its_first_tokens_and_always_the_separator(prompt: str, read: str, n_tokens: int) -> None:
    tokens, n_all_tokens = encode_prompt_and_count(TOKENIZER, prompt, FORMAT)
    assert tokens[0] == TOKENIZER.vocabulary.end_of_text_id
    assert TOKENIZER.decode(tokens[1:]) == f"{read}\n=>"
    assert n_all_tokens == n_tokens
    assert encode_prompt(TOKENIZER, prompt, FORMAT) == tokens


def test_a_prompt_that_names_the_end_token_does_not_contain_it() -> None:
    end = TOKENIZER.vocabulary.end_of_text_id
    long = FORMAT.model_copy(update={"max_prompt_tokens": 100})
    assert encode_prompt(TOKENIZER, f"a{TOKENIZER.name_of(end)}b", long).count(end) == 1
