"""A prompted model chooses the most probable answer, and shows as many examples as fit."""

import pytest
import torch

from lmcore.config.prompts import PromptsConfig
from lmcore.config.tokenize import BytePairConfig
from lmcore.errors import UserError
from lmcore.evaluation.prompts.answers import PromptedModel, choice_log_probabilities
from lmcore.finetuning.completion.examples import CompletionExample
from lmcore.models.families import build_model
from lmcore.models.gpt.model import GPT
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.lstm.test_lstm import CONFIG as LSTM
from tests.lmcore.models.small_models import GPT_CONFIG

TOKENIZER = train_tokenizer(["a"], BytePairConfig(kind="byte_pair", vocabulary_size=259))
"""Every byte is a token."""
TEMPLATE = "{% for example in examples %}{{ example.text }}={{ example.answer }};{% endfor %}{{ text }}="


def make_model(config: object = GPT_CONFIG) -> GPT:
    torch.manual_seed(0)
    model = build_model(config, TOKENIZER.vocabulary).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def prompts(**changes: object) -> PromptsConfig:
    values = {
        "examples": {"kind": "label", "column": "label"},
        "answer": "choice",
        "truncated_field": "text",
        "max_documents": 10,
        "max_train_samples": 10,
        "max_answer_tokens": 6,
        "variants": ({"name": "plain", "template": "x", "num_fewshot": 0, "example_picker": None},),
    }
    return PromptsConfig.model_validate(values | changes, strict=False)


@pytest.mark.parametrize("config", [GPT_CONFIG, LSTM], ids=["gpt", "lstm"])
def test_choices_have_the_probability_of_their_tokens_after_the_prompt(config: object) -> None:
    model = make_model(config)
    prompt, choices = [0, 5, 7], [[9, 8, 7], [6], [9, 9]]
    found = choice_log_probabilities(model, prompt, choices)
    expected = [sum(model.token_log_probabilities([*prompt[1:], *choice])[len(prompt) - 1 :]) for choice in choices]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_the_answer_is_the_most_probable_choice() -> None:
    model, choices = make_model(), ["cat", "dog", "x"]
    asked = [CompletionExample("1", {"text": text}, "cat") for text in ("ab", "cd", "zz")]
    found = PromptedModel(model, TOKENIZER, prompts(), choices).answer(TEMPLATE, asked, [[]] * 3)
    for example, text in zip(asked, found.texts, strict=True):
        scores = {}
        for choice in choices:
            start = len(TOKENIZER.encode(f"{example.values['text']}="))
            scores[choice] = sum(
                model.token_log_probabilities(TOKENIZER.encode(f"{example.values['text']}= {choice}"))[start:]
            )
        assert text == max(scores, key=lambda choice: scores[choice])
    assert found.n_dropped_examples == 0


def test_examples_that_do_not_fit_are_left_out_the_first_ones_first_and_then_the_text_is_shortened() -> None:
    context = GPT_CONFIG.max_position_embeddings
    asked = [CompletionExample("1", {"text": "q" * 2}, "a"), CompletionExample("2", {"text": "q" * 2 * context}, "a")]
    shown = [CompletionExample("3", {"text": letter * (context // 5)}, "a") for letter in "xyz"]
    model = PromptedModel(make_model(), TOKENIZER, prompts(max_answer_tokens=2), ["a", "b"])
    found = model.answer(TEMPLATE, asked, [shown, shown])
    assert len(found.texts) == 2
    assert 3 < found.n_dropped_examples < 6  # of the first prompt some, of the second all


def test_a_written_answer_ends_with_its_line() -> None:
    model = PromptedModel(make_model(), TOKENIZER, prompts(answer="generate"), [])
    found = model.answer(TEMPLATE, [CompletionExample("1", {"text": "ab"}, "a")], [[]])
    assert all("\n" not in text and len(text.encode()) <= 6 * 3 for text in found.texts)


def test_what_a_model_cannot_answer_is_refused() -> None:
    with pytest.raises(UserError, match="leaves no room in a context of"):
        PromptedModel(make_model(), TOKENIZER, prompts(max_answer_tokens=500), ["a"])
    with pytest.raises(UserError, match="300 different answers, more than the 200"):
        PromptedModel(make_model(), TOKENIZER, prompts(), [f"n{number}" for number in range(300)])
    with pytest.raises(UserError, match="must occur once"):
        PromptedModel(make_model(), TOKENIZER, prompts(), ["a"]).answer("no field", [], [])
