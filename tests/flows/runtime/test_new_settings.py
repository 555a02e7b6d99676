"""A file of the last release gets the settings that it lacks, and nothing else changes."""

import pytest

from flows.runtime.new_settings import with_new_settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pretrain:\n  seed: 1  # of all\n", "pretrain:\n  mask_documents: false\n  seed: 1  # of all\n"),
        ("pretrain: {seed: 1}\n", "pretrain: {mask_documents: false, seed: 1}\n"),
    ],
)
def test_a_new_setting_is_added_once(text: str, expected: str) -> None:
    added, changes = with_new_settings(text)
    assert added == expected
    assert "pretrain.mask_documents: false is new" in changes
    assert with_new_settings(added) == (added, [])


def test_a_section_that_is_missing_lacks_nothing() -> None:
    assert with_new_settings("collect:\n  strict: true\n") == ("collect:\n  strict: true\n", [])
