"""Settings that the last release did not have, with the values that keep the meaning of its files."""

import json

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode

from flows.runtime.yaml_text import KeyPath, compose, find_key
from tasks.context.trainer_section import TRAINER

TRAININGS: tuple[KeyPath, ...] = (
    ("pretrain", "training"),
    ("finetune", "classification", "training"),
    ("finetune", "completion", "training"),
)
"""The trainings of the last release."""
NEIGHBORS = """
  words:
    longest: 2
    max_features: 300000
  characters:
    shortest: 2
    longest: 5
    max_characters: 4000"""
ENDINGS = """
  shortest: 1
  longest: 5
  max_characters: 50"""
PROBES = """
  memorization:
    prefix_tokens:
    - 16
    - 64
    continuation_tokens: 16
    max_texts: 100
  canaries:
  bias:
    templates: prompts/bias.yaml
  typos:
    rates:
    - 0.02
    - 0.05
    - 0.1
    max_documents: 100"""
NEW_SETTINGS: dict[KeyPath, str | None] = {
    ("pretrain", "init_from"): "scratch",
    ("pretrain", "objective"): None,
    ("finetune", "classification", "label_column"): "label",
    ("finetune", "classification", "problem_type"): None,
    ("finetune", "classification", "class_weights"): None,
    ("finetune", "classification", "truncation_side"): "right",
    ("finetune", "classification", "pooling"): "mean_max",
    ("evaluate", "classification", "linear", "endings"): ENDINGS,
    ("finetune", "classification", "ensemble_size"): "1",
    ("finetune", "classification", "ngram_classifier"): None,
    ("finetune", "completion", "init_from"): "language_model",
    ("finetune", "completion", "truncated_field"): "text",
    ("finetune", "completion", "truncation_side"): "right",
    **{("finetune", kind, "frozen_layers"): None for kind in ("classification", "completion", "chat", "dpo", "grpo")},
    **{("finetune", kind, "lora", "save_adapter"): "false" for kind in ("classification", "completion")},
    **{(*training, "metric_for_best_model"): "loss" for training in TRAININGS},
    **{(*training, "schedule", "restart_steps"): "[]" for training in TRAININGS},
    ("pretrain", "mask_documents"): "false",
    ("finetune", "chat"): None,
    ("finetune", "dpo"): None,
    ("finetune", "grpo"): None,
    ("pretrain", "model", "ngram_head_order"): "0",
    ("evaluate", "completion", "metric"): "chrf",
    ("evaluate", "completion", "answer_separator"): None,
    ("evaluate", "completion", "neighbors"): NEIGHBORS,
    ("evaluate", "probes"): PROBES,
    ("evaluate", "prompts"): None,
}
"""The value of each new setting, a section on its own lines. Where the section that it belongs to is missing, nothing
is added."""
ONLY_BESIDE: dict[KeyPath, str] = {("pretrain", "model", "ngram_head_order"): "use_token_shift"}
"""New settings of one family of models: each is added only beside another setting of that family."""


def with_new_settings(text: str, *, is_recipe: bool = False) -> tuple[str, list[str]]:
    """The text of a parameter file with the new settings that it lacks, and what was added, a line each.

    Settings that all trainings have are added to the section ``trainer``, if there is one. A recipe, which changes only
    some settings, gets those of sections that it replaces as a whole.
    """
    changes = []
    has_trainer = find_key(compose(text), (TRAINER,)) is not None
    for path, value in _settings(in_trainer=has_trainer).items():
        if is_recipe and path not in ONLY_BESIDE:
            continue
        root = compose(text)
        section = find_key(root, path[:-1])
        is_filled = section is not None and isinstance(section[1], MappingNode) and section[1].value
        if section is None or not is_filled or find_key(root, path):
            continue
        if path in ONLY_BESIDE and not find_key(root, (*path[:-1], ONLY_BESIDE[path])):
            continue
        first = section[1].value[0][0].start_mark
        separator = ", " if section[1].flow_style else "\n" + " " * first.column
        null = " null" if section[1].flow_style else ""
        entry = (
            f"{path[-1]}:{null if value is None else _written(value, first.column, section[1].flow_style)}{separator}"
        )
        text = text[: first.index] + entry + text[first.index :]
        shown = "null" if value is None else "a section" if "\n" in value else value
        changes.append(f"{'.'.join(path)}: {shown} is new")
    return text, changes


def _settings(*, in_trainer: bool) -> dict[KeyPath, str | None]:
    if not in_trainer:
        return NEW_SETTINGS
    settings: dict[KeyPath, str | None] = {}
    for path, value in NEW_SETTINGS.items():
        training = next((training for training in TRAININGS if path[: len(training)] == training), None)
        settings[path if training is None else (TRAINER, *path[len(training) :])] = value
    return settings


def _written(value: str, column: int, is_in_one_line: bool | None) -> str:
    """A value as it follows its key, in a section that begins at a column or is written in one line."""
    if "\n" not in value:
        return f" {value}"
    if is_in_one_line:
        return f" {json.dumps(YAML(typ='safe').load(value))}"
    return value.replace("\n", "\n" + " " * column)
