"""Fine-tunes the language model: a classifier of documents, and a model that completes prompts."""

from tasks.finetune.classification import finetune_classifier
from tasks.finetune.completion import finetune_completion
from tasks.finetune.files import FinetuneFiles, write_summary

__all__ = ["FinetuneFiles", "finetune_classifier", "finetune_completion", "write_summary"]
