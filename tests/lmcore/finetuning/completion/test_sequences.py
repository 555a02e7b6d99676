"""Prompts and completions that are longer than the settings allow."""

import pytest

from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.completion.examples import CompletionExample
from lmcore.finetuning.completion.sequences import completion_sequences
from lmcore.models.prompt import encode_prompt
from lmcore.tokens.batches.batches import IGNORED
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.prompt_formats import prompt_format_with

TOKENIZER = train_tokenizer(["a"], BytePairConfig(kind="byte_pair", vocabulary_size=259))
"""Every byte is a token."""
FORMAT = prompt_format_with("=", 5, 6)
END = TOKENIZER.vocabulary.end_of_text_id
EXAMPLES = [
    CompletionExample("id", {"text": "ask"}, "four"),
    CompletionExample("id", {"text": "asking"}, "fives"),
    CompletionExample("id", {"text": "ask"}, "sixsix"),
    CompletionExample("id", {"text": "ask"}, "sevens and more"),
]


@pytest.mark.parametrize("reads_prompts", [False, True])
def test_a_completion_has_an_end_token_if_and_only_if_it_is_not_truncated(reads_prompts: bool) -> None:
    found = completion_sequences(TOKENIZER, EXAMPLES, FORMAT, reads_prompts=reads_prompts)
    for example, (tokens, targets) in zip(EXAMPLES, found.sequences, strict=True):
        prompt = encode_prompt(TOKENIZER, example.values, FORMAT)
        answer = [target for target in targets if target != IGNORED]
        assert len(answer) <= FORMAT.max_completion_tokens
        is_whole = len(example.completion) < FORMAT.max_completion_tokens
        assert TOKENIZER.decode(answer) == example.completion[: FORMAT.max_completion_tokens]
        assert (answer[-1] == END) is is_whole
        assert END not in answer[:-1]
        if reads_prompts:
            assert tokens == prompt
        else:
            assert tokens == [*prompt, *answer][:-1]
            assert targets == [IGNORED] * (len(prompt) - 1) + answer
    assert (found.n_cut_answers, found.n_cut_prompts) == (2, 1)
    assert found.answer_lengths == [5, 6, 7, 16]


def test_after_a_colon_a_completion_begins_with_a_space_unless_a_decoder_writes_it() -> None:
    for template, reads_prompts, expected in ((":", False, " four"), ("", False, "four"), (":", True, "four")):
        prompt_format = prompt_format_with(template, 5, 6)
        found = completion_sequences(TOKENIZER, EXAMPLES[:1], prompt_format, reads_prompts=reads_prompts)
        answer = [target for target in found.sequences[0][1] if target not in (IGNORED, END)]
        assert TOKENIZER.decode(answer) == expected
