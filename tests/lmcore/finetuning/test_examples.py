"""What becomes of prompts and answers that are longer than the settings let them be."""

import logging

import pytest

from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.examples import completion_sequences
from lmcore.finetuning.supervised import CompletionExample
from lmcore.models.prompt import PromptFormat, encode_prompt
from lmcore.tokens.batches.batches import IGNORED
from lmcore.tokens.tokenizer.training import learn_tokenizer
from tasks.finetune import _say_what_is_cut

TOKENIZER = learn_tokenizer(["a"], BytePairConfig(kind="byte_pair", vocabulary_size=259))
"""Every byte is a token."""
FORMAT = PromptFormat(separator="=", max_prompt_tokens=4, max_completion_tokens=6)
END = TOKENIZER.vocabulary.end_of_text_id
EXAMPLES = [
    CompletionExample("id", "ask", "four"),
    CompletionExample("id", "asking", "fives"),
    CompletionExample("id", "ask", "sixsix"),
    CompletionExample("id", "ask", "sevens and more"),
]


@pytest.mark.parametrize("reads_prompts", [False, True])
def test_an_answer_has_an_end_if_and_only_if_it_is_whole(reads_prompts: bool) -> None:
    found = completion_sequences(TOKENIZER, EXAMPLES, FORMAT, reads_prompts=reads_prompts)
    for example, (tokens, targets) in zip(EXAMPLES, found.sequences, strict=True):
        prompt = encode_prompt(TOKENIZER, example.prompt, FORMAT)
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


def test_how_many_are_cut_is_said_with_what_would_be_enough(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    _say_what_is_cut(completion_sequences(TOKENIZER, EXAMPLES[:2], FORMAT, reads_prompts=True), FORMAT)
    assert caplog.messages == ["of 1 of 2 prompts the first 4 tokens are read (finetune.completion.max_prompt_tokens)"]
    caplog.clear()
    _say_what_is_cut(completion_sequences(TOKENIZER, EXAMPLES, FORMAT, reads_prompts=True), FORMAT)
    assert "2 of 4 answers are longer than 6 tokens: they are truncated" in caplog.messages[0]
    assert caplog.messages[0].endswith("would have to be 16 for 95 % of them, 16 for all")
