import pytest

from lmcore.text.cleaning.decision import DocumentFilter
from lmcore.text.documents.messages import Message, from_json, to_json
from tests.lmcore.text.cleaning_for_tests import LENIENT, configure_cleaning

BLOCKED = {"phrases": ["bad word"], "max_occurrences": 1, "words_per_occurrence": 500}
MASK = {"action": "mask", "kinds": ["email"], "phone_region": None}


def test_a_text_is_normalized_before_it_is_filtered_and_masked_after_that() -> None:
    document_filter = DocumentFilter(
        configure_cleaning(filters=LENIENT | {"min_characters": 12}, personal_data=MASK), None
    )
    kept = document_filter.decide("  Mail\u00a0to a@b.de  \n\n\n\n now")
    assert kept.text == "  Mail to <email>\n\n now"
    assert [change.rule for change in kept.changes] == ["normalized", "masked_email"]
    dropped = document_filter.decide("a@b.de" + "\u200b" * 20)
    assert dropped.drop is not None
    assert dropped.drop.rule == "too_short"
    with_target = document_filter.decide("Write it to a friend.", "To\u00a0c@d.de ")
    assert with_target.target == "To <email>"
    assert [change.rule for change in with_target.changes] == ["normalized", "masked_email"]


def test_a_prompt_and_its_target_are_filtered_together() -> None:
    rules = LENIENT | {"min_characters": 20, "min_words": 4}
    document_filter = DocumentFilter(
        configure_cleaning(filters=rules, blocklist=BLOCKED, personal_data=MASK | {"action": "drop"}), None
    )
    assert document_filter.decide("Summarize:", "The town has rebuilt its bridge.").drop is None
    reasons = [
        document_filter.decide("Summarize:"),
        document_filter.decide("A prompt that is long enough.", "bad word, bad word, bad word"),
        document_filter.decide("A prompt that is long enough.", "Write to a@b.de"),
        document_filter.decide("Summarize:", "\x00"),
    ]
    assert [decision.drop and decision.drop.rule for decision in reasons] == [
        "too_short",
        "blocked_content",
        "personal_data",
        "too_short",
    ]


def test_rejected_answers_and_messages_are_normalized_and_masked_as_the_target() -> None:
    document_filter = DocumentFilter(configure_cleaning(filters=LENIENT, personal_data=MASK), None)
    messages = [Message("user", "Write\u00a0to a@b.de "), Message("assistant", "To c@d.de")]
    found = document_filter.decide("Write to a@b.de", "To c@d.de", "To\u00a0e@f.de ", to_json(messages))
    assert (found.target, found.rejected) == ("To <email>", "To <email>")
    assert from_json(found.messages or "") == [Message("user", "Write to <email>"), Message("assistant", "To <email>")]
    assert [change.score for change in found.changes if change.rule == "masked_email"] == [3.0]
    lost = document_filter.decide("Some text to keep.", None, None, to_json([Message("assistant", "\u200b")]))
    assert lost.messages is None
    assert lost.drop is None


def test_a_document_with_personal_data_is_dropped_where_that_is_wanted() -> None:
    document_filter = DocumentFilter(configure_cleaning(personal_data=MASK | {"action": "drop"}), None)
    found = document_filter.decide("Mail to a@b.de now")
    assert found.drop is not None
    assert found.drop.rule == "personal_data"
    assert found.text == "Mail to a@b.de now"


@pytest.mark.parametrize("rules", [{"annotations": ["tags"]}, {"personal_data": MASK | {"kinds": ["person"]}}])
def test_what_needs_a_trained_pipeline_says_how_to_install_one(rules: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="install one"):
        configure_cleaning(**rules)
