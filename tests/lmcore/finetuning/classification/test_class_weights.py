import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from lmcore.errors import UserError
from lmcore.finetuning.classification.class_weights import class_weights

SETS = [("a",), ("a",), ("a",), ("b",), ("c",), ("c",)]


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    found = class_weights("balanced", ("a", "b", "c"), SETS, is_multi_label=False)
    labels = [label for (label,) in SETS]
    np.testing.assert_allclose(found, compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=labels))


def test_with_any_number_of_labels_presence_and_absence_weigh_the_same() -> None:
    sets = [("a", "b"), ("a",), (), ("a",)]
    found = class_weights("balanced", ("a", "b"), sets, is_multi_label=True)
    assert found == (1 / 3, 3.0)


def test_a_label_that_is_not_named_has_weight_one() -> None:
    assert class_weights({"b": 2.0}, ("a", "b"), SETS, is_multi_label=False) == (1.0, 2.0)
    assert class_weights(None, ("a", "b"), SETS, is_multi_label=False) is None


def test_a_weight_for_an_unknown_label_or_without_examples_is_refused() -> None:
    with pytest.raises(UserError, match="d is not a label; the labels are a, b"):
        class_weights({"d": 2.0}, ("a", "b"), SETS, is_multi_label=False)
    with pytest.raises(UserError, match="with and without the label 'a'"):
        class_weights("balanced", ("a", "b"), [("a",), ("a", "b")], is_multi_label=True)
