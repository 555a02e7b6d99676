"""A conversation is one text that fits the context."""

from lmcore.command_line.chat import PLAIN_TEMPLATE, ChatTemplate, Message, Role, chat_config, render, render_within
from tests.lmcore.generation.toy_models import settings

TEMPLATE = ChatTemplate(
    system=Role(prefix="<s>", suffix="</s>"),
    user=Role(prefix="<u>", suffix="</u>"),
    assistant=Role(prefix="<a>", suffix="</a>"),
)
MESSAGES = [
    Message("system", "be brief"),
    Message("user", "1"),
    Message("assistant", "one"),
    Message("user", "2"),
    Message("assistant", "two"),
    Message("user", "3"),
]


def test_a_conversation_is_written_down_as_the_template_says_and_the_assistant_is_next() -> None:
    assert render(MESSAGES[:4], TEMPLATE) == "<s>be brief</s><u>1</u><a>one</a><u>2</u><a>"


def test_the_oldest_turns_go_first_and_what_the_system_says_stays() -> None:
    whole = render(MESSAGES, TEMPLATE)
    assert render_within(MESSAGES, TEMPLATE, len, len(whole)) == whole
    assert render_within(MESSAGES, TEMPLATE, len, None) == whole
    assert render_within(MESSAGES, TEMPLATE, len, len(whole) - 1) == "<s>be brief</s><u>2</u><a>two</a><u>3</u><a>"
    assert render_within(MESSAGES, TEMPLATE, len, 1) == "<s>be brief</s><u>3</u><a>"


def test_an_answer_ends_where_the_turn_does() -> None:
    assert chat_config(settings(stop_strings=("x",)), TEMPLATE).stop_strings == ("x", "</a>", "<u>")
    assert chat_config(settings(), PLAIN_TEMPLATE).stop_strings == ("\n", "User: ")
