from ruamel.yaml import YAML

from flows.runtime.new_settings import NEW_SETTINGS, with_new_settings
from tasks.context.trainer_section import value_at

BEFORE = """\
pretrain:
  # why
  seed: 1
  model:
    use_token_shift: true
finetune:
  completion: {seed: 1}
evaluate:
  completion:
    batch_size: 50
"""
SECTIONS = {
    ("pretrain",),
    ("pretrain", "model"),
    ("finetune",),
    ("finetune", "completion"),
    ("evaluate",),
    ("evaluate", "completion"),
}


def test_a_file_gets_the_settings_that_it_lacks_once_and_keeps_its_comments() -> None:
    text, changes = with_new_settings(BEFORE)
    values = YAML(typ="safe").load(text)
    lacking = {path for path in NEW_SETTINGS if path[:-1] in SECTIONS}
    assert len(changes) == len(lacking)
    for path in lacking:
        expected = YAML(typ="safe").load(NEW_SETTINGS[path] or "null")
        assert value_at(values, path, "missing") == expected
    assert value_at(values, ("pretrain", "seed")) == value_at(values, ("finetune", "completion", "seed")) == 1
    assert "  # why\n" in text
    assert with_new_settings(text) == (text, [])


def test_a_model_of_another_family_gets_nothing() -> None:
    text = "pretrain:\n  model:\n    family: lstm\n"
    assert "ngram_head_order" not in with_new_settings(text)[0]


def test_a_section_that_is_missing_or_null_gets_nothing() -> None:
    for text in ("collect: 1\n", "pretrain:\nfinetune:\n"):
        assert with_new_settings(text) == (text, [])
