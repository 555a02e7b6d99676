"""Text in, text out: ends, streams and scores of one model and tokenizer."""

import math
from pathlib import Path

import pytest
import torch

from lmcore.command_line.attention import attention_maps
from lmcore.config.tokenize import WordsConfig
from lmcore.generation import Generator
from lmcore.models.folder import load_generative_model
from lmcore.models.gpt.layers import SelfAttention
from lmcore.models.prompt import encode_prompt
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.generation.toy_models import make_recurrent, settings
from tests.lmcore.models.gpt.test_gpt import VARIANTS, VOCABULARY, draw_tokens, make_model
from tests.lmcore.models.prompt_formats import prompt_format_with
from tests.tasks.tracking.tiny_models import save_tiny_model

PROMPTS = ["the list", "sorted in place", "", "is", "the the the"]
SAMPLING = {"max_new_tokens": 16, "temperature": 1.0}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    folder: Path = tmp_path_factory.mktemp("generation") / "model"
    save_tiny_model(folder, "language-model")
    model, tokenizer = load_generative_model(folder)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return Generator(model, tokenizer)


def test_a_stop_string_ends_the_text_before_it_wherever_tokens_begin_and_end(generator: Generator) -> None:
    free = [completion.text or "" for completion in generator.complete(PROMPTS, settings(**SAMPLING))]
    n_across = 0
    for prompt, text in zip(PROMPTS, free, strict=True):
        for start in range(3, len(text) - 3):
            stop = text[start : start + 3]
            (completion,) = generator.complete([prompt], settings(**SAMPLING, stop_strings=(stop,)))
            assert completion.text == text[: text.index(stop)]
            assert completion.finish_reason == "stop"
            n_across += len(generator.tokenizer.decode(completion.tokens[-1:])) < 3
    assert n_across > 20


@pytest.mark.parametrize("stop", [(), ("e", "in"), ("\ufffd",)])
def test_the_chunks_of_a_stream_join_to_the_completion(generator: Generator, stop: tuple[str, ...]) -> None:
    for seed in range(10):
        config = settings(**SAMPLING, seed=seed, stop_strings=stop)
        for prompt, completion in zip(PROMPTS, generator.complete(PROMPTS, config), strict=True):
            assert "".join(generator.stream(prompt, config)) == completion.text


def test_words_are_continued_after_a_space() -> None:
    words = [f"word{number}" for number in range(VOCABULARY.size - 4)]
    tokenizer = train_tokenizer(
        [" ".join(words)], WordsConfig(kind="words", language=None, max_words=None, min_count=1, lowercase=False)
    )
    assert tokenizer.vocabulary.size == VOCABULARY.size
    asking = Generator(make_model(), tokenizer)
    prompts, n_written = ["word1 word2", "word3", "", "word4 unknown"], 0
    for seed in range(10):
        config = settings(max_new_tokens=4, temperature=1.0, seed=seed)
        for prompt, completion in zip(prompts, asking.complete(prompts, config), strict=True):
            text = tokenizer.decode(completion.tokens)
            assert completion.text == (f" {text}" if prompt and text else text)
            assert "".join(asking.stream(prompt, config)) == completion.text
            n_written += bool(text)
    assert n_written > 20


def test_beams_know_of_stop_strings(generator: Generator) -> None:
    answers = generator.complete_n_best(PROMPTS, settings(max_new_tokens=8, num_beams=4, stop_strings=("e",)))
    assert all(len(candidates) == 4 for candidates in answers)
    for completion in (completion for candidates in answers for completion in candidates):
        assert "e" not in (completion.text or "")
        assert (completion.finish_reason == "stop") == ("e" in generator.tokenizer.decode(completion.tokens))


def test_a_search_is_not_streamed(generator: Generator) -> None:
    with pytest.raises(ValueError, match="only at the end"):
        list(generator.stream("a", settings(num_beams=2)))


def test_a_completion_model_gets_prompts_in_the_format_of_its_training(generator: Generator) -> None:
    prompt_format = prompt_format_with("\n", 4, 8)
    asking = Generator(generator.model, generator.tokenizer, prompt_format)
    assert asking.encode("the list is sorted") == encode_prompt(asking.tokenizer, "the list is sorted", prompt_format)


def test_the_space_after_the_colon_of_a_prompt_is_no_part_of_the_answer(generator: Generator) -> None:
    asking = Generator(generator.model, generator.tokenizer, prompt_format_with(" :", 4, 8))
    n_spaces = 0
    for seed in range(100):
        config = settings(**SAMPLING | {"seed": seed})
        (completion,) = asking.complete(["the list"], config)
        text = asking.tokenizer.decode(completion.tokens)
        n_spaces += text.startswith(" ")
        assert completion.text == text.removeprefix(" ")
        assert "".join(asking.stream("the list", config)) == completion.text
    assert n_spaces > 0


def test_a_score_holds_the_log_probability_of_every_token_and_the_whole_text(generator: Generator) -> None:
    text = "the list is 世界 sorted"
    score = generator.score(text)
    tokens = generator.tokenizer.encode(text)
    with torch.no_grad():
        logits = generator.model(torch.tensor([[generator.tokenizer.vocabulary.end_of_text_id, *tokens[:-1]]]))[0]
    expected = logits.log_softmax(dim=-1)[range(len(tokens)), tokens]
    torch.testing.assert_close(torch.tensor(score.logprobs), expected)
    assert "".join(span for span, _ in score.spans) == text
    assert {"世", "界"} <= {span for span, _ in score.spans}
    bits = sum(bits for _, bits in score.spans)
    assert score.perplexity == pytest.approx(2 ** (bits / len(tokens)))
    assert math.isnan(generator.score("").perplexity)


@pytest.mark.parametrize("variant", VARIANTS)
def test_attention_maps_are_the_weights_that_the_model_looks_with(variant: str) -> None:
    model, tokens = make_model(**VARIANTS[variant]), draw_tokens(9).tolist()
    maps = attention_maps(model, tokens)
    assert maps.shape == (2, model.config.num_attention_heads, 9, 9)
    torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:-1]))
    assert maps.triu(1).abs().max() == 0
    attention = next(module for module in model.modules() if isinstance(module, SelfAttention))
    seen = {}
    attention.output.register_forward_pre_hook(lambda module, arguments: seen.update(attended=arguments[0]))
    attention.value.register_forward_hook(lambda module, arguments, result: seen.update(values=result))
    with torch.no_grad():
        model(torch.tensor([tokens]))
        values = seen["values"]
        if model.value_embeddings:
            values = values + model.value_embeddings[0](torch.tensor([tokens]), torch.float32)
        values = values.view(1, 9, -1, attention.head_dim).transpose(1, 2)
        attended = maps[0] @ values.repeat_interleave(attention.group_size, dim=1)
    torch.testing.assert_close(attended.transpose(1, 2).flatten(2), seen["attended"])


def test_a_model_without_attention_says_so() -> None:
    with pytest.raises(ValueError, match="a Recurrent has no attention maps"):
        attention_maps(make_recurrent(VOCABULARY), [1, 2])
