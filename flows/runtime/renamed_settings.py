"""Settings that have been renamed since the last release, and those that each training had separately."""

from flows.runtime.new_settings import TRAININGS
from flows.runtime.yaml_text import KeyPath
from lmcore.config.version_1 import ACTIVATIONS, CORRUPTION_KEYS, MASKING_KEYS

TRAINING_KEYS = {
    "accumulated_batches": "gradient_accumulation_steps",
    "checkpoint_every_steps": "save_steps",
    "compile": "torch_compile",
    "gradient_clip_norm": "max_grad_norm",
    "is_deterministic": "full_determinism",
    "log_every_steps": "logging_steps",
    "max_epochs": "num_train_epochs",
    "max_validation_examples": "max_eval_samples",
    "max_validations_without_gain": "early_stopping_patience",
    "recompute_activations": "gradient_checkpointing",
    "validate_every_steps": "eval_steps",
    "weight_averaging_decay": "ema_decay",
}
SCHEDULE_KEYS = {
    "decay": "decay_type",
    "decay_share": "decay_ratio",
    "final_share": "min_lr_ratio",
    "warm_up_steps": "warmup_steps",
}
GENERATION_KEYS = {"max_tokens": "max_new_tokens", "stop": "stop_strings", "stop_tokens": "stop_token_ids"}
EVALUATE_KEYS = frozenset({"seed", "likelihood", "ngram", "interpolation", "bootstrap", "classification", "samples"})
"""Keys that the section ``evaluate`` of a whole parameter file has; a recipe has only those that it changes."""
GENERATIONS = (("evaluate", "completion", "generation"), ("evaluate", "samples", "generation"))
SAMPLING_KEYS = ("temperature", "top_k", "top_p", "min_p", "seed")
KEYS: dict[KeyPath, dict[str, str]] = {
    ("clean", "filters"): {
        "max_bullet_line_share": "max_bullet_line_ratio",
        "max_ellipsis_line_share": "max_ellipsis_line_ratio",
        "max_repeated_line_share": "max_repeated_line_ratio",
        "max_repeated_paragraph_share": "max_repeated_paragraph_ratio",
        "max_repeated_run_share": "max_repeated_run_ratio",
        "max_top_pair_share": "max_top_pair_ratio",
        "min_distinct_word_share": "min_distinct_word_ratio",
        "min_letter_share": "min_letter_ratio",
        "min_lines_for_shares": "min_lines_for_ratios",
        "min_sentence_line_share": "min_sentence_line_ratio",
        "min_share_of_words_with_letters": "min_alphabetic_word_ratio",
        "min_words_for_shares": "min_words_for_ratios",
    },
    ("pretrain",): {"window_tokens": "sequence_length"},
    ("pretrain", "model", "masking"): MASKING_KEYS,
    ("pretrain", "model", "corruption"): CORRUPTION_KEYS,
    ("finetune", "classification"): {"max_examples": "max_train_samples", "starts_from": "init_from"},
    ("finetune", "completion"): {"max_examples": "max_train_samples"},
    ("evaluate", "bootstrap"): {"n_resamples": "num_resamples"},
    ("evaluate", "interpolation"): {"n_confidence_levels": "num_confidence_levels"},
    ("evaluate", "interpolation", "cache"): {"n_tokens": "num_tokens"},
    ("evaluate", "report"): {"n_completions": "num_completions", "n_documents": "num_documents"},
    **dict.fromkeys(GENERATIONS, GENERATION_KEYS),
    **dict.fromkeys(TRAININGS, TRAINING_KEYS),
    **{(*training, "optimizer"): {"others": "adamw"} for training in TRAININGS},
    **{(*training, "schedule"): SCHEDULE_KEYS for training in TRAININGS},
}
VALUES = {
    ("pretrain", "model", "hidden_act"): ACTIVATIONS,
    ("finetune", "classification", "init_from"): {"nothing": "scratch"},
}
COMMENTS = {
    "; a Transformer takes at most its context_length": " in tokens, at most max_position_embeddings",
    "# relu_squared or swiglu": "# relu2 or swiglu",
    "adamw with the keys of `others`": "adamw with learning_rate, beta1, beta2 and weight_decay",
    "finetune.classification.starts_from": "finetune.classification.init_from",
    "# language_model or nothing (random weights)": "# language_model, or scratch (random weights)",
}
"""Comments of the last release that mention renamed settings."""
SHARED: tuple[KeyPath, ...] = (
    ("early_stopping_patience",),
    ("metric_for_best_model",),
    ("gradient_accumulation_steps",),
    ("optimizer", "name"),
    ("optimizer", "momentum"),
    ("optimizer", "weight_decay"),
    ("optimizer", "adamw", "beta1"),
    ("schedule", "warmup_steps"),
    ("schedule", "decay_type"),
    ("schedule", "restart_steps"),
    ("max_grad_norm",),
    ("label_smoothing",),
    ("ema_decay",),
    ("precision",),
    ("torch_compile",),
    ("gradient_checkpointing",),
    ("full_determinism",),
    ("stability",),
)
"""Settings of trainings that go to ``trainer`` where all trainings have the same value."""
