"""A prompt is the end token and the rendered template, in which one field loses tokens if the whole is too long."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmcore.config.tokenize import BytePairConfig
from lmcore.errors import UserError
from lmcore.models.prompt import encode_prompt, encode_prompt_and_count
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.prompt_formats import prompt_format_with

TOKENIZER = train_tokenizer(["a"], BytePairConfig(kind="byte_pair", vocabulary_size=259))
"""Every byte is a token."""
FORMAT = prompt_format_with("\n=>", 7)
QUESTION = "{{ context }} Q: {{ question }} A:"


@pytest.mark.parametrize(
    ("prompt", "read", "n_tokens"),
    [("", "", 3), ("abcd", "abcd", 7), ("abcde", "abcd", 8), ("ééé", "éé", 9), ("a\n=>b", "a\n=>", 8)],
)
def test_a_prompt_keeps_its_first_tokens_and_always_the_end_of_the_template(
    prompt: str, read: str, n_tokens: int
) -> None:
    tokens, n_all_tokens = encode_prompt_and_count(TOKENIZER, prompt, FORMAT)
    assert tokens[0] == TOKENIZER.vocabulary.end_of_text_id
    assert TOKENIZER.decode(tokens[1:]) == f"{read}\n=>"
    assert n_all_tokens == n_tokens
    assert encode_prompt(TOKENIZER, prompt, FORMAT) == tokens


def test_a_prompt_that_names_the_end_token_does_not_contain_it() -> None:
    end = TOKENIZER.vocabulary.end_of_text_id
    long = FORMAT.model_copy(update={"max_prompt_tokens": 100})
    assert encode_prompt(TOKENIZER, f"a{TOKENIZER.name_of(end)}b", long).count(end) == 1


@pytest.mark.parametrize(("side", "kept"), [("right", "012"), ("left", "789")])
def test_a_long_context_loses_tokens_on_one_side_and_the_question_stays_whole(side: str, kept: str) -> None:
    asking = prompt_format_with("", 12, template=QUESTION, truncated_field="context", truncation_side=side)
    tokens = encode_prompt(TOKENIZER, {"context": "0123456789", "question": "is"}, asking)
    assert TOKENIZER.decode(tokens[1:]) == f"{kept} Q: is A:"


def test_of_a_question_that_is_too_long_by_itself_the_end_stays() -> None:
    asking = prompt_format_with("", 6, template=QUESTION, truncated_field="context")
    tokens = encode_prompt(TOKENIZER, {"context": "0123", "question": "what"}, asking)
    assert TOKENIZER.decode(tokens[1:]) == "hat A:"


@settings(max_examples=30)
@given(context=st.text(max_size=30), question=st.text(max_size=8), longest=st.integers(1, 60))
def test_no_prompt_is_longer_than_allowed_and_a_short_one_is_whole(context: str, question: str, longest: int) -> None:
    asking = prompt_format_with("", longest, template=QUESTION, truncated_field="context")
    tokens, n_tokens = encode_prompt_and_count(TOKENIZER, {"context": context, "question": question}, asking)
    whole = f"{context} Q: {question} A:"
    assert n_tokens == len(TOKENIZER.encode(whole))
    assert len(tokens) - 1 == min(n_tokens, longest)
    if n_tokens <= longest:
        assert TOKENIZER.decode(tokens[1:]) == TOKENIZER.decode(TOKENIZER.encode(whole))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a string", "has the fields context, question: give the value of each"),
        ({"context": "a"}, "no value for question; its fields are context, question"),
    ],
)
def test_a_prompt_without_the_value_of_a_field_is_refused(prompt: str | dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode_prompt(TOKENIZER, prompt, prompt_format_with("", 6, template=QUESTION, truncated_field="context"))
