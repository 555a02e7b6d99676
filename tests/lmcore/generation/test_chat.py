"""A conversation fits the context, and an answer ends where the turn does."""

from lmcore.generation.chat import PLAIN_STOPS, ChatGenerator
from lmcore.generation.generator import Generator
from lmcore.models.generative import GenerativeModel
from lmcore.text.documents.messages import Message
from tests.lmcore.finetuning.conversations import END, TEMPLATE, TOKENIZER, small_model
from tests.lmcore.generation.toy_models import settings

MESSAGES = [
    Message("system", "Be kind."),
    Message("user", "1"),
    Message("assistant", "one"),
    Message("user", "2"),
    Message("assistant", "two"),
    Message("user", "3"),
]


def chat(family: str = "gpt", *, is_trained: bool = True) -> ChatGenerator:
    model = small_model(family)
    assert isinstance(model, GenerativeModel)
    return ChatGenerator(Generator(model, TOKENIZER), TEMPLATE if is_trained else None)


def test_the_oldest_turns_are_left_out_and_what_the_system_says_stays() -> None:
    whole = TEMPLATE.prompt(MESSAGES)
    assert chat().prompt(MESSAGES, 64 - len(whole)).tokens == whole
    shorter = chat().prompt(MESSAGES, 64 - len(whole) + 1)
    assert shorter.tokens == TEMPLATE.prompt([MESSAGES[0], *MESSAGES[3:]])
    assert shorter.n_dropped == 2
    shortest = chat().prompt(MESSAGES, 63)
    assert shortest.tokens == TEMPLATE.prompt([MESSAGES[0], MESSAGES[-1]])
    assert shortest.n_dropped == 4


def test_the_encoder_of_an_encoder_decoder_has_a_context_of_its_own() -> None:
    assert chat("encoder_decoder").prompt(MESSAGES, 63).n_dropped == 0


def test_answers_end_with_the_turn_and_a_stream_is_the_reply() -> None:
    assert chat().configured(settings(stop_token_ids=(3,))).stop_token_ids == (3, END)
    assert chat(is_trained=False).configured(settings()).stop_strings == PLAIN_STOPS
    generator, config = chat(), settings(max_new_tokens=8)
    (reply,) = generator.reply([MESSAGES], config)
    assert "".join(generator.stream(generator.prompt(MESSAGES, 8), config)).strip() == reply


def test_a_model_without_a_template_reads_a_dialogue() -> None:
    tokens = chat(is_trained=False).prompt(MESSAGES[:4], 1).tokens
    assert TOKENIZER.decode(tokens) == "Be kind.\n\nUser: 1\nAssistant: one\nUser: 2\nAssistant:"
