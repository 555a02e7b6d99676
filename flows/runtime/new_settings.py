"""Settings that the last release did not have, with the values under which its files mean the same as before."""

from flows.runtime.yaml_text import KeyPath, compose, find_key

TRAININGS: tuple[KeyPath, ...] = (
    ("pretrain", "training"),
    ("finetune", "classification", "training"),
    ("finetune", "completion", "training"),
)
"""The trainings of the last release."""
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
NEIGHBORS = """
      words:
        longest: 2
        max_features: 300000
      characters:
        shortest: 2
        longest: 5
        max_characters: 4000"""
NEW_SETTINGS: dict[KeyPath, str | None] = {
    ("pretrain", "init_from"): "scratch",
    ("pretrain", "objective"): None,
    ("finetune", "classification", "label_column"): "label",
    ("finetune", "classification", "problem_type"): None,
    ("finetune", "classification", "class_weights"): None,
    ("finetune", "completion", "init_from"): "language_model",
    ("finetune", "completion", "truncated_field"): "text",
    ("finetune", "completion", "truncation_side"): "right",
    **{("finetune", kind, "frozen_layers"): None for kind in ("classification", "completion")},
    **{("finetune", kind, "lora", "save_adapter"): "false" for kind in ("classification", "completion")},
    **{(*training, "metric_for_best_model"): "loss" for training in TRAININGS},
    **{(*training, "schedule", "restart_steps"): "[]" for training in TRAININGS},
    ("pretrain", "mask_documents"): "false",
    ("evaluate", "prompts"): None,
    ("evaluate", "probes"): PROBES,
    ("evaluate", "completion", "neighbors"): NEIGHBORS,
    ("evaluate", "completion", "metric"): "chrf",
}
"""The value of each new setting; its section may be missing, and then lacks nothing."""


def with_new_settings(text: str) -> tuple[str, list[str]]:
    """The text of a parameter file with the new settings that it lacks, and what was added, a line each."""
    changes = []
    for path, value in NEW_SETTINGS.items():
        root = compose(text)
        section = find_key(root, path[:-1])
        if section is None or not getattr(section[1], "value", None) or find_key(root, path):
            continue
        first = section[1].value[0][0].start_mark
        separator = ", " if section[1].flow_style else "\n" + " " * first.column
        null = " null" if section[1].flow_style else ""
        entry = f"{path[-1]}:{null if value is None else _after_colon(value)}{separator}"
        text = text[: first.index] + entry + text[first.index :]
        changes.append(f"{'.'.join(path)}: {'null' if value is None else ' '.join(value.split())} is new")
    return text, changes


def _after_colon(value: str) -> str:
    """A value as it follows its key: a section begins on the next line."""
    return value if value.startswith("\n") else f" {value}"
