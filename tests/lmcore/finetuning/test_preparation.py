import logging
from typing import Any

import pyarrow as pa
import pytest
import torch

from lmcore.config.finetune import ClassificationTrainingConfig, CompletionTrainingConfig, TargetExamples
from lmcore.config.tokenize import BytePairConfig, SplitFractions
from lmcore.config.training import LoRAConfig
from lmcore.finetuning.examples import completion_sequences
from lmcore.finetuning.preparation import (
    add_adapters,
    choose_classification_data,
    choose_completion_data,
    classification_batches,
    classifier_on,
    completion_batches,
    log_truncation,
    prompt_format_of,
)
from lmcore.models.gpt.model import GPT
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.finetuning.test_examples import EXAMPLES, FORMAT
from tests.lmcore.finetuning.test_examples import TOKENIZER as BYTES
from tests.tasks.tracking.tiny_models import CONFIG

HELD_OUT = SplitFractions(validation=0.2, test=0.2)


class Limits:
    """The part of a training configuration that data depend on."""

    max_eval_samples, batch_size = 3, 4


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["the list is sorted"] * 3, BytePairConfig(kind="byte_pair", vocabulary_size=260))


def documents(**columns: Any) -> pa.Table:
    n_rows = 40
    table = {"id": [f"{number}" for number in range(n_rows)], "split": ["train", "validation"] * 20}
    types = {"split": pa.string(), "target": pa.string()}
    values = {name: [make(number) for number in range(n_rows)] for name, make in columns.items()}
    return pa.table({name: pa.array(column, types.get(name)) for name, column in (table | values).items()})


def classification(**changes: Any) -> ClassificationTrainingConfig:
    values = {
        "max_tokens": 100,
        "max_train_samples": 6,
        "min_examples_per_label": 2,
        "dropout": 0.0,
        "training": Limits(),
    }
    return ClassificationTrainingConfig.model_construct(**values | changes)


def test_rare_labels_and_surplus_examples_are_left_out(tokenizer: Tokenizer) -> None:
    def label(number: int) -> str:
        return "rare" if number == 0 else ("a", "b")[number // 2 % 2]

    table = documents(text=lambda number: f"the list {number}", label=label)
    data = choose_classification_data(table, HELD_OUT, classification(), seed=1)
    assert data.labels == ("a", "b")
    assert len(data.training) == 6
    assert len(data.validation) == 3
    classifier = classifier_on(GPT(CONFIG, tokenizer.vocabulary), data.labels, classification())
    assert classifier.max_tokens == CONFIG.max_position_embeddings
    batch = classification_batches(data, classifier, tokenizer, Limits(), seed=1).training_batch(0)
    assert set(batch.targets.tolist()) <= {0, 1}


def test_truncated_completions_are_counted_and_reported(tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    table = documents(text=lambda number: "the list " * number, target=lambda _: "sorted sorted")
    config = CompletionTrainingConfig.model_construct(
        examples=TargetExamples(kind="target"),
        separator="\n",
        max_prompt_tokens=8,
        max_completion_tokens=2,
        max_train_samples=5,
        training=Limits(),
    )
    training, validation = choose_completion_data(table, HELD_OUT, config, seed=1)
    assert (len(training), len(validation)) == (5, 3)
    with caplog.at_level(logging.INFO):
        _, encoded = completion_batches(
            training, validation, tokenizer, prompt_format_of(config), Limits(), seed=1, reads_prompts=False
        )
    assert encoded.n_cut_answers == 5
    assert "5 of 5 completions are longer than max_completion_tokens (2)" in caplog.text
    assert f"{encoded.n_cut_prompts} of 5 prompts are longer than max_prompt_tokens (8)" in caplog.text
    assert "finetune." not in caplog.text


def test_only_adapters_are_trained_and_they_depend_on_the_seed(tokenizer: Tokenizer) -> None:
    def adapters(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = GPT(CONFIG, tokenizer.vocabulary)
        add_adapters(model, LoRAConfig(rank=2, alpha=2.0, dropout=0.0), seed=seed)
        return [parameter for parameter in model.parameters() if parameter.requires_grad]

    first, again, other = adapters(1), adapters(1), adapters(2)
    assert all(min(weight.shape) == 2 for weight in first)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_the_log_has_how_many_are_truncated_and_which_limit_would_be_enough(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log_truncation(completion_sequences(BYTES, EXAMPLES[:2], FORMAT, reads_prompts=True), FORMAT)
    assert caplog.messages == ["1 of 2 prompts are longer than max_prompt_tokens (4): only their first tokens are used"]
    caplog.clear()
    log_truncation(completion_sequences(BYTES, EXAMPLES, FORMAT, reads_prompts=True), FORMAT)
    assert "2 of 4 completions are longer than max_completion_tokens (6): they are truncated" in caplog.messages[0]
    assert caplog.messages[0].endswith("16 tokens would be enough for 95 % of them, 16 for all")
