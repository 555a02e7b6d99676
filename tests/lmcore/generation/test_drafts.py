"""Drafts repeat what followed the last tokens of a text when they last occurred."""

from collections.abc import Sequence

import pytest

from lmcore.generation.drafts import INITIAL_DRAFT, LONGEST_DRAFT, Drafts


@pytest.mark.parametrize(
    ("text", "draft"),
    [
        ([], []),
        ([1, 2, 3], []),
        ([1, 2, 3, 4, 1, 2], [3, 4, 1]),
        ([5, 1, 8, 1, 9, 2, 7, 2, 1], [9, 2, 7]),  # the last occurrence
        ([5, 1, 8, 5, 4, 3, 5, 1], [8, 5, 4]),  # the longest match, not the last token alone
        ([4, 4], [4, 4, 4]),
        ([7, 1, 2, 1, 2], [1, 2, 1]),
    ],
)
def test_a_draft_is_what_followed_the_longest_match(text: list[int], draft: list[int]) -> None:
    assert Drafts(text).draft(INITIAL_DRAFT) == draft
    assert Drafts(text).draft(1) == draft[:1]
    assert Drafts(text).draft(0) == []


def test_the_length_of_drafts_follows_their_success() -> None:
    lookup = Drafts([4, 4])
    for _ in range(20):
        lookup.learn(4, 4)
    assert len(lookup.draft(99)) == LONGEST_DRAFT
    for _ in range(20):
        lookup.learn(4, 3)
    assert len(lookup.draft(99)) == 1
    lookup.learn(0, 0)
    assert len(lookup.draft(99)) == 1


class Counter:
    """An assistant model that counts on, up to 9."""

    def most_frequent_next(self, text: Sequence[int]) -> int | None:
        return text[-1] + 1 if text[-1] < 9 else None


@pytest.mark.parametrize(
    ("text", "draft"),
    [([1, 2], [3, 4, 5]), ([8], [9]), ([1, 2, 3, 7, 1, 2, 3], [7, 1, 2])],
)
def test_an_assistant_drafts_where_the_text_repeats_nothing_long(text: list[int], draft: list[int]) -> None:
    assert Drafts(text, Counter()).draft(INITIAL_DRAFT) == draft
