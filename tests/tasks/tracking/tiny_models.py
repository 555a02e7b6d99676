"""Model folders of every kind that take no time to create."""

from pathlib import Path

import torch

from lmcore.config.models import GPTConfig
from lmcore.config.tokenize import BytePairConfig
from lmcore.finetuning.classification.classifier import Classifier
from lmcore.finetuning.classification.folder import save_classifier
from lmcore.models.folder import save_language_model
from lmcore.models.gpt.model import GPT
from lmcore.tokens.tokenizer.training import train_tokenizer
from lmcore.training.record import TrainingRecord
from tests.lmcore.models.prompt_formats import prompt_format_with

LABELS = ("numpy", "pandas")
RECORD = TrainingRecord(
    n_parameters=12345,
    n_steps=4,
    n_batches=4,
    n_epochs=1.0,
    n_targets=64,
    n_skipped_steps=0,
    n_rollbacks=0,
    best_step=4,
    best_validation_loss=2.5,
    precision="float32",
    seed=0,
    history=[{"step": 2, "loss": 3.0, "learning_rate": 0.01}, {"step": 4, "loss": 2.0, "validation_loss": 2.5}],
)
CONFIG = GPTConfig(
    family="gpt",
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    intermediate_size=32,
    hidden_act="relu2",
    max_position_embeddings=32,
    dropout=0.0,
    tie_word_embeddings=True,
    use_residual_mixing=False,
    use_value_embeddings=False,
    use_token_shift=False,
    ngram_head_order=0,
    final_logit_softcapping=None,
    rope_theta=10000.0,
)


def save_tiny_model(folder: Path, model: str, *, seed: int = 0) -> None:
    """Write an untrained "language-model", "classifier" or "completion" whose content depends on the seed."""
    tokenizer = train_tokenizer(
        ["the list is sorted in place"] * 3, BytePairConfig(kind="byte_pair", vocabulary_size=300)
    )
    torch.manual_seed(seed)
    gpt, record = GPT(CONFIG, tokenizer.vocabulary), RECORD.to_json()
    if model == "classifier":
        classifier = Classifier(gpt, LABELS, max_tokens=16)
        save_classifier(folder, classifier, tokenizer, record)
    else:
        prompt_format = prompt_format_with("\n", 16, 8)
        is_completion = model == "completion"
        save_language_model(folder, gpt, tokenizer, record, prompt_format=prompt_format if is_completion else None)
