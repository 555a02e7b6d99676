import logging

import pytest

from lmcore.config.completion import CompletionTrainingConfig, TargetExamples
from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.completion.preparation import (
    choose_completion_data,
    completion_batches,
    log_truncation,
    prompt_format_of,
)
from lmcore.finetuning.completion.sequences import completion_sequences
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.finetuning.completion.test_sequences import EXAMPLES, FORMAT
from tests.lmcore.finetuning.completion.test_sequences import TOKENIZER as BYTES
from tests.lmcore.finetuning.sample_documents import FRACTIONS, Limits, table_of


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["the list is sorted"] * 3, BytePairConfig(kind="byte_pair", vocabulary_size=260))


def test_truncated_completions_are_counted_and_reported(tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    table = table_of(text=lambda number: "the list " * number, target=lambda _: "sorted sorted")
    config = CompletionTrainingConfig.model_construct(
        examples=TargetExamples(kind="target", question_separator=None),
        truncated_field="text",
        truncation_side="right",
        max_prompt_tokens=9,
        max_completion_tokens=2,
        max_train_samples=5,
        training=Limits(),
    )
    prompt_format = prompt_format_of(config, "{{ text }}\n")
    training, validation = choose_completion_data(table, FRACTIONS, config, prompt_format, seed=1)
    assert (len(training), len(validation)) == (5, 3)
    with caplog.at_level(logging.INFO):
        _, encoded = completion_batches(
            training, validation, tokenizer, prompt_format, Limits(), seed=1, reads_prompts=False
        )
    assert encoded.n_cut_answers == 5
    assert "5 of 5 completions are longer than max_completion_tokens (2)" in caplog.text
    assert (
        f"{encoded.n_cut_prompts} of 5 prompts are longer than max_prompt_tokens (9): text is shortened" in caplog.text
    )
    assert "finetune." not in caplog.text


def test_the_log_has_how_many_are_truncated_and_which_limit_would_be_enough(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_truncation(completion_sequences(BYTES, EXAMPLES[:2], FORMAT, reads_prompts=True), FORMAT)
    assert caplog.messages == ["1 of 2 prompts are longer than max_prompt_tokens (5): text is shortened"]
    caplog.clear()
    log_truncation(completion_sequences(BYTES, EXAMPLES, FORMAT, reads_prompts=True), FORMAT)
    assert "2 of 4 completions are longer than max_completion_tokens (6): they are truncated" in caplog.messages[0]
    assert caplog.messages[0].endswith("16 tokens would be enough for 95 % of them, 16 for all")
