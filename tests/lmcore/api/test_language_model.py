"""What a loaded model says by itself: completion models answer greedily, chat models hold conversations."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

import lmcore
from lmcore.generation import Generator
from lmcore.generation.chat import ChatGenerator
from lmcore.models.chat_template import ChatTemplate
from lmcore.models.folder import save_language_model
from lmcore.models.generative import GenerativeModel
from lmcore.text.documents.messages import Message
from tests.lmcore.api.test_api import TEXTS
from tests.lmcore.finetuning.conversations import END, TOKENIZER, small_model
from tests.lmcore.generation.toy_models import settings
from tests.lmcore.models.prompt_formats import prompt_format_with

SHOUTING = """\
{% for message in messages %}{{ message.role|upper + ': ' + message.content + eos_token }}{% endfor %}
{%- if add_generation_prompt %}ASSISTANT: {% endif %}"""


@pytest.fixture(scope="module")
def generative() -> GenerativeModel:
    model = small_model()
    assert isinstance(model, GenerativeModel)
    return model


@pytest.fixture
def completing(generative: GenerativeModel, tmp_path: Path) -> lmcore.LanguageModel:
    prompt_format = prompt_format_with(" =", 20, 5)
    save_language_model(tmp_path / "completion", generative, TOKENIZER, {}, prompt_format=prompt_format)
    model = lmcore.load(tmp_path / "completion")
    assert isinstance(model, lmcore.LanguageModel)
    return model


@pytest.fixture
def chatting(generative: GenerativeModel, tmp_path: Path) -> lmcore.LanguageModel:
    save_language_model(tmp_path / "chat", generative, TOKENIZER, {}, chat_template=SHOUTING)
    model = lmcore.load(tmp_path / "chat")
    assert isinstance(model, lmcore.LanguageModel)
    return model


def test_a_completion_model_answers_greedily_with_the_length_of_its_training(
    completing: lmcore.LanguageModel, generative: GenerativeModel
) -> None:
    generator = Generator(generative, TOKENIZER, completing.prompt_format)
    (expected,) = generator.complete(["What is one?"], settings(max_new_tokens=5))
    assert completing.generate("What is one?") == expected.text
    assert "".join(completing.stream("What is one?")) == expected.text
    assert completing.generate("What is one?", temperature=2.0, max_new_tokens=30) != expected.text


def test_a_chat_model_answers_with_the_template_of_its_folder(
    chatting: lmcore.LanguageModel, generative: GenerativeModel
) -> None:
    prompt = [*TOKENIZER.encode("USER: What is one?"), END, *TOKENIZER.encode("ASSISTANT: ")]
    (expected,) = Generator(generative, TOKENIZER).complete([prompt], settings(max_new_tokens=6))
    answer = chatting.chat([{"role": "user", "content": "What is one?"}], max_new_tokens=6)
    assert answer == {"role": "assistant", "content": (expected.text or "").strip()}


def test_a_conversation_of_several_turns_is_read_as_a_whole(
    chatting: lmcore.LanguageModel, generative: GenerativeModel
) -> None:
    messages = [{"role": "system", "content": "1"}]
    generator = ChatGenerator(Generator(generative, TOKENIZER), ChatTemplate(SHOUTING, TOKENIZER))
    for question in ("one?", "two?", "3?"):
        messages.append({"role": "user", "content": question})
        so_far: Any = [Message(**message) for message in messages]
        (expected,) = generator.reply([so_far], settings(max_new_tokens=4))
        messages.append(chatting.chat(messages, max_new_tokens=4))
        assert messages[-1]["content"] == expected
    assert [message["role"] for message in messages] == ["system"] + ["user", "assistant"] * 3


def test_a_model_without_a_template_continues_a_dialogue() -> None:
    model = lmcore.train(TEXTS, max_steps=3, hidden_size=32, num_hidden_layers=1)
    question = [{"role": "user", "content": "Hello"}]
    assert "\n" not in model.chat(question)["content"]
    assert model.chat(question, seed=1) == model.chat(question, seed=1)


def test_what_a_model_was_trained_for_is_saved_with_it(
    completing: lmcore.LanguageModel, chatting: lmcore.LanguageModel, tmp_path: Path
) -> None:
    for name, model in (("completion", completing), ("chat", chatting)):
        for _ in range(2):  # the second replaces the first
            model.save(tmp_path / "again")
        saved, first = (
            {file.name: file.read_bytes() for file in (tmp_path / folder).iterdir() if file.name != "record.json"}
            for folder in ("again", name)
        )
        assert saved.keys() == first.keys()
        assert {name: saved[name] for name in saved if name != "SHA256SUMS"} == {
            name: first[name] for name in first if name != "SHA256SUMS"
        }


def test_a_chat_template_goes_to_hugging_face_and_comes_back(tmp_path: Path) -> None:
    model = lmcore.train(TEXTS, max_steps=3, hidden_size=32, num_hidden_layers=1, family="gpt2")
    chatting = lmcore.LanguageModel(model.model, model.tokenizer, chat_template=SHOUTING)  # type: ignore[arg-type]
    for _ in range(2):
        chatting.save_huggingface(tmp_path / "exported")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported")
    assert tokenizer.chat_template == SHOUTING
    tokenizer.save_pretrained(tmp_path / "exported")  # as transformers keeps it
    question = [{"role": "user", "content": "The red"}]
    back = lmcore.load_huggingface(tmp_path / "exported")
    assert isinstance(back, lmcore.LanguageModel)
    assert back.chat_template == SHOUTING
    assert back.chat(question) == chatting.chat(question)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "messages: expected a list such as"),
        ("Hello", "messages: expected a list such as"),
        ({"role": "user", "content": "a"}, "messages: expected a list such as"),
        (["Hello"], r"messages\[0\] is 'Hello', expected a mapping with role and content"),
        ([{"role": "user"}], r"messages\[0\] is .*, expected a mapping with role and content"),
        ([{"role": "tool", "content": "a"}], r"messages\[0\] has the role 'tool', expected system, user or assistant"),
        ([{"role": "user", "content": 3}], r"messages\[0\]\['content'\] is a int, expected a string"),
        ([{"role": "assistant", "content": "a"}], "the last message is the assistant's: there is nothing to answer"),
    ],
)
def test_what_is_no_conversation_is_named(messages: Any, said: str, chatting: lmcore.LanguageModel) -> None:
    with pytest.raises(lmcore.UserError, match=said):
        chatting.chat(messages)


def test_the_description_of_a_chat_model_says_so(chatting: lmcore.LanguageModel, tmp_path: Path) -> None:
    chatting.save(tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / "config.json").read_text())["kind"] == "chat"
