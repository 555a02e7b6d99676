from lmcore.text.documents.messages import Message, from_json, to_json, with_contents

MESSAGES = [Message("system", 'Say "é".'), Message("user", "Hi\nthere"), Message("assistant", "é 🙂")]


def test_messages_come_back_from_json_and_equal_ones_give_equal_texts() -> None:
    assert from_json(to_json(MESSAGES)) == MESSAGES
    assert to_json(MESSAGES) == to_json(from_json(to_json(MESSAGES)))


def test_contents_change_and_roles_stay() -> None:
    changed = from_json(with_contents(to_json(MESSAGES), str.upper))
    assert changed == [Message(role, content.upper()) for role, content in MESSAGES]
