from ruamel.yaml import YAML

from flows.runtime.new_settings import NEW_SETTINGS, with_new_settings

BEFORE = """\
pretrain:
  # why
  seed: 1
finetune:
  completion: {seed: 1}
"""


def test_a_file_gets_the_settings_that_it_lacks_once_and_keeps_its_comments() -> None:
    text, changes = with_new_settings(BEFORE)
    assert YAML(typ="safe").load(text) == {
        "pretrain": {"init_from": "scratch", "objective": None, "mask_documents": False, "seed": 1},
        "finetune": {
            "completion": {
                "init_from": "language_model",
                "frozen_layers": None,
                "truncated_field": "text",
                "truncation_side": "right",
                "seed": 1,
            }
        },
    }
    assert "  # why\n" in text
    assert len(changes) == sum(path[:-1] in (("pretrain",), ("finetune", "completion")) for path in NEW_SETTINGS)
    assert with_new_settings(text) == (text, [])


def test_a_section_that_is_missing_or_null_gets_nothing() -> None:
    for text in ("collect: 1\n", "pretrain:\nfinetune:\n  completion:\n"):
        assert with_new_settings(text) == (text, [])
