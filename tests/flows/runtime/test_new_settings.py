from ruamel.yaml import YAML

from flows.runtime.new_settings import NEW_SETTINGS, with_new_settings

BEFORE = """\
pretrain:
  # why
  seed: 1
  model:
    use_token_shift: true
finetune:
  completion: {seed: 1}
"""


def test_a_file_gets_the_settings_that_it_lacks_once_and_keeps_its_comments() -> None:
    text, changes = with_new_settings(BEFORE)
    assert YAML(typ="safe").load(text) == {
        "pretrain": {
            "init_from": "scratch",
            "objective": None,
            "mask_documents": False,
            "seed": 1,
            "model": {"ngram_head_order": 0, "use_token_shift": True},
        },
        "finetune": {
            "completion": {
                "frozen_layers": None,
                "init_from": "language_model",
                "truncated_field": "text",
                "truncation_side": "right",
                "seed": 1,
            }
        },
    }
    assert "  # why\n" in text
    absent = {("finetune", "classification"), ("evaluate", "prompts")}
    assert len(changes) == sum(not {"training", "lora"} & {*path} and path[:2] not in absent for path in NEW_SETTINGS)
    assert with_new_settings(text) == (text, [])


def test_a_model_of_another_family_gets_nothing() -> None:
    text = "pretrain:\n  model:\n    family: lstm\n"
    assert "ngram_head_order" not in with_new_settings(text)[0]


def test_a_section_that_is_missing_or_null_gets_nothing() -> None:
    for text in ("collect: 1\n", "pretrain:\nfinetune:\n  completion:\n"):
        assert with_new_settings(text) == (text, [])
