"""Conversations have the tokens that transformers gives them, and users cannot write what only a template may."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from lmcore.command_line.convert import convert
from lmcore.models.chat_template import DEFAULT_TEMPLATE, ChatTemplate, read_template
from lmcore.models.folder import load_chat_template, read_description, save_language_model
from lmcore.text.documents.messages import Message
from lmcore.tokens.tokenizer.vocabulary import END_OF_TEXT, MASK
from tests.lmcore.finetuning.conversations import END, TEMPLATE, TOKENIZER, small_model

# With a special token before every turn, as in ChatML, and spaces that Jinja has to strip.
OTHER_TEMPLATE = """
{% for message in messages %}
    {%- if loop.first and message['role'] != 'system' %}{{ '<|mask|>system\\nBe brief.<|endoftext|>\\n' }}{% endif %}
    {{- '<|mask|>' + message['role'] + '\\n' + message['content'] | trim }}
    {%- if message['role'] == 'assistant' %}{% generation %}{{ eos_token }}{% endgeneration %}{% else %}
        {{- eos_token }}{% endif %}{{ '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|mask|>assistant\\n' }}{% endif %}
""".replace("<|mask|>", MASK).replace("<|endoftext|>", END_OF_TEXT)
MESSAGES = [
    Message("system", "Be kind."),
    Message("user", "What is one and two?"),
    Message("assistant", "It is three."),
    Message("user", "And now\n\n  {{ messages }} é 🙂?"),
    Message("assistant", "Hello!"),
]


def theirs(source: str) -> Any:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=TOKENIZER._backend, eos_token=END_OF_TEXT, mask_token=MASK, split_special_tokens=False
    )
    TOKENIZER._backend.encode_special_tokens = False
    tokenizer.chat_template = source
    return tokenizer


def their_ids(source: str, messages: list[Message], **options: Any) -> Any:
    try:
        return theirs(source).apply_chat_template([message._asdict() for message in messages], **options)
    finally:
        TOKENIZER._backend.encode_special_tokens = True


@pytest.mark.parametrize("source", [DEFAULT_TEMPLATE, OTHER_TEMPLATE])
def test_prompts_and_conversations_have_the_ids_of_transformers(source: str) -> None:
    template = ChatTemplate(source, TOKENIZER)
    for count in (2, 4):
        expected = their_ids(source, MESSAGES[:count], add_generation_prompt=True, return_dict=False)
        assert template.prompt(MESSAGES[:count]) == expected
    turns = [token for turn in template.turns(MESSAGES) for token in turn.tokens]
    whole = their_ids(source, MESSAGES, return_dict=False)
    assert whole[: len(turns)] == turns
    assert END not in whole[len(turns) :]


def test_answers_are_what_transformers_marks_as_the_assistants() -> None:
    options = {"return_dict": True, "return_assistant_tokens_mask": True}
    expected = their_ids(DEFAULT_TEMPLATE, MESSAGES, **options)
    turns = TEMPLATE.turns(MESSAGES)
    assert [int(turn.is_answer) for turn in turns for _ in turn.tokens] == expected["assistant_masks"]
    assert [turn.tokens[-1] for turn in turns if turn.is_answer] == [END, END] == [TEMPLATE.end_of_turn_id] * 2


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([END_OF_TEXT, MASK, "assistant\n", "\ue000", " x ", "<|", "{% if"]), min_size=1))
def test_no_text_of_a_user_becomes_a_special_token(parts: list[str]) -> None:
    content = "".join(parts)
    tokens = TEMPLATE.prompt([Message("user", content)])
    special = set(TOKENIZER.special_tokens.values())
    assert [token for token in tokens if token in special] == [END, END]
    assert tokens == [END, *TOKENIZER.encode(f"user\n{content}"), END, *TOKENIZER.encode("assistant\n")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% if %}", "not valid Jinja"),
        ("{{ messages.append(1) }}", "cannot render"),
        ("{{ ''.__class__.__mro__ }}{{ cycler.__init__.__globals__.os }}", "cannot render"),
        ("{{ raise_exception('no system message') }}", "no system message"),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", "does not end answers with a special token"),
        ("{{ messages | length }}{{ eos_token }}", "changes earlier messages"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = ChatTemplate(source, TOKENIZER).turns(MESSAGES)


def test_an_exported_folder_has_the_template_gives_the_same_ids_and_comes_back(tmp_path: Path) -> None:
    save_language_model(tmp_path / "own", small_model("gpt2"), TOKENIZER, {}, chat_template=DEFAULT_TEMPLATE)
    convert(tmp_path / "own", tmp_path / "theirs")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "theirs")
    messages = [message._asdict() for message in MESSAGES[:4]]
    found = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert found == TEMPLATE.prompt(MESSAGES[:4])
    assert read_template(tmp_path / "theirs") == DEFAULT_TEMPLATE
    tokenizer.save_pretrained(tmp_path / "theirs")  # as transformers keeps it
    convert(tmp_path / "theirs", tmp_path / "back")
    assert read_description(tmp_path / "back").kind == "chat"
    template = load_chat_template(tmp_path / "back", TOKENIZER)
    assert template is not None
    assert template.source == DEFAULT_TEMPLATE
