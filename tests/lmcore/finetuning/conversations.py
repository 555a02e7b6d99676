"""A tokenizer, small conversations and settings that the tests of chat, preferences and rewards share."""

import json
from typing import Any

import torch

from lmcore.config.tokenize import BytePairConfig
from lmcore.config.training import TrainingConfig
from lmcore.finetuning.chat.examples import Conversation
from lmcore.models.chat_template import DEFAULT_TEMPLATE, ChatTemplate
from lmcore.models.families import build_model
from lmcore.models.trainable import TrainableModel
from lmcore.text.documents.messages import Message
from lmcore.tokens.tokenizer.training import train_tokenizer
from tests.lmcore.models.small_models import CONFIGS
from tests.lmcore.training.trainer import CONFIG

WORDS = ["user\nassistant\nsystem\n", "What is one and two? It is three.", "Hello you! 1 2 3 4 5 6 7 8 9"]
TOKENIZER = train_tokenizer(WORDS, BytePairConfig(kind="byte_pair", vocabulary_size=280))
TEMPLATE = ChatTemplate(DEFAULT_TEMPLATE, TOKENIZER)
END = TOKENIZER.vocabulary.end_of_text_id
SHAPE = {"max_position_embeddings": 64, "hidden_size": 32, "dropout": 0.0}


def conversation(*contents: str, identity: str = "1", rejected: str | None = None) -> Conversation:
    """Questions and answers in turn."""
    messages = [Message("assistant" if index % 2 else "user", text) for index, text in enumerate(contents)]
    return Conversation(identity, tuple(messages), rejected)


def small_model(family: str = "gpt") -> TrainableModel:
    torch.manual_seed(3)
    model = build_model(CONFIGS[family].model_copy(update=SHAPE), TOKENIZER.vocabulary)
    assert isinstance(model, TrainableModel)
    return model.eval()


def training(n_steps: int, learning_rate: float = 3e-3, **changes: Any) -> TrainingConfig:
    optimizer = {"name": "adamw", "learning_rate": learning_rate, "beta1": 0.9, "beta2": 0.98, "weight_decay": 0.0}
    steps = {"max_steps": n_steps, "logging_steps": 2, "eval_steps": 3, "save_steps": 1, "precision": "float32"}
    return TrainingConfig.model_validate_json(json.dumps(CONFIG | {"optimizer": optimizer} | steps | changes))
