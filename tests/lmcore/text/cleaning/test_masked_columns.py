import pyarrow as pa
import pytest

from lmcore.text.cleaning.masked_columns import configured_mask, mask_columns
from tests.lmcore.text.cleaning_for_tests import configure_cleaning

MASK = configured_mask(
    configure_cleaning(personal_data={"action": "mask", "kinds": ["secret", "email", "phone"], "phone_region": None})
)


@pytest.mark.parametrize(
    ("path", "masked"),
    [
        ("+49 170 1234567.txt", "<phone>.txt"),
        ("x/+49 170 1234567.txt", "x/<phone>.txt"),
        ("/+49 170 1234567/anna@example.org/notes.txt", "/<phone>/<email>/notes.txt"),
        ("mail/of/anna@example.org", "mail/of/<email>"),
        ("2024/05/17/notes-12.txt", "2024/05/17/notes-12.txt"),
        ("//a//b/", "//a//b/"),
        (None, None),
    ],
)
@pytest.mark.parametrize("name", ["label", "path", "name", "detail"])
def test_each_part_of_a_path_is_masked(name: str, path: str | None, masked: str | None) -> None:
    table = pa.table({name: pa.array(["a", path, path], pa.string())})
    assert mask_columns(table, [name], MASK)[name].to_pylist() == ["a", masked, masked]
