import pytest

from lmcore.finetuning.completion.docstring_parameters import documented_parameters

NUMPY = """Do it.

Parameters
----------
a, b : array_like
    Input: not a type.
axis : {int, None}, optional
    Axis : of what.
*args : tuple (optional)
n : int, default: 5
undocumented
    No type.

Returns
-------
out : ndarray
    The result.
"""
GOOGLE = """Do it.

Args:
    n (int, optional): The number (of them).
    sizes (List[Optional[int]]): A list.
      created (or not): no parameter of the first level is in parentheses.
    plain: no type.

Returns:
    dims (tuple): Dims.
"""


def test_parameters_of_numpy_docstrings_have_their_types_without_extras() -> None:
    found = documented_parameters(NUMPY)
    assert found is not None
    assert found.types == {"a": "array_like", "b": "array_like", "axis": "{int, None}", "*args": "tuple", "n": "int"}
    assert found.section.startswith("Parameters\n---")
    assert found.section.endswith("No type.")


def test_parameters_of_google_docstrings_have_their_types() -> None:
    found = documented_parameters(GOOGLE)
    assert found is not None
    assert found.types == {"n": "int", "sizes": "List[Optional[int]]"}


def test_runs_are_consecutive_parameters_with_the_heading_and_their_descriptions() -> None:
    found = documented_parameters(NUMPY)
    assert found is not None
    runs = {tuple(types): text for text, types in found.runs(max_parameters=2)}
    assert list(runs) == [("a", "b"), ("axis",), ("axis", "*args"), ("*args",), ("*args", "n"), ("n",)]
    assert runs["axis",] == "Parameters\n----------\naxis : {int, None}, optional\n    Axis : of what."
    assert runs["n",].endswith("undocumented\n    No type.")
    assert [text for text, types in found.runs(max_parameters=5) if types == found.types] == [found.section]


@pytest.mark.parametrize(
    "docstring",
    [
        "No parameters.",
        "Parameters\n----------\nplain\n    Without a type.",
        "Parameters\n----------\na : int\na : str\n",
        "Parameters\n----------\na : " + "long " * 20,
    ],
)
def test_a_docstring_without_typed_parameters_gives_none(docstring: str) -> None:
    assert documented_parameters(docstring) is None
