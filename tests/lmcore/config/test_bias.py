import pytest
from pydantic import ValidationError

from lmcore.config.bias import CounterfactualPairs

PAIRS = {
    "name": "people",
    "groups": {"women": ("She", "The woman"), "men": ("He", "The man")},
    "templates": ("{group} is right.",),
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": {"a": ("x",), "b": ("y", "z")}}, "same number of words"),
        ({"templates": ("No group here.",)}, "needs {group} once"),
        ({"templates": ("At the end is {group}",)}, "text after it"),
    ],
)
def test_pairs_that_cannot_be_compared_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        CounterfactualPairs.model_validate(PAIRS | changes)
