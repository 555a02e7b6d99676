"""Fine-tunes models: classifiers, models that complete prompts or hold conversations, on preferences, with rewards."""

from tasks.finetune.chat import finetune_chat
from tasks.finetune.classification import finetune_classifier
from tasks.finetune.completion import finetune_completion
from tasks.finetune.dpo import finetune_dpo
from tasks.finetune.files import FinetuneFiles, write_summary
from tasks.finetune.grpo import finetune_grpo

__all__ = [
    "FinetuneFiles",
    "finetune_chat",
    "finetune_classifier",
    "finetune_completion",
    "finetune_dpo",
    "finetune_grpo",
    "write_summary",
]
