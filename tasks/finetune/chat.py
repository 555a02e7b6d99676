"""Fine-tunes a model that holds conversations."""

from lmcore.config.chat import ChatTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.adaptation import adapt
from lmcore.finetuning.chat.examples import CHAT_COLUMNS
from lmcore.finetuning.chat.preparation import chat_batches, chat_template_of, choose_conversations
from lmcore.models.device import pick_device
from lmcore.models.generative import GenerativeModel
from lmcore.models.trainable import TrainableModel
from lmcore.text.documents.shards import read_documents
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.finetune.files import FinetuneFiles, save_finetuned, tracked_finetuning


@task
def finetune_chat(
    config: ChatTrainingConfig, split: SplitFractions, seed: int, environment: Environment, files: FinetuneFiles
) -> str | None:
    """Train a model that holds conversations; return why it is not trained, or None if it is."""
    documents = read_documents(files.documents, CHAT_COLUMNS)
    limits = (config.max_train_samples, config.training.max_eval_samples)
    examples, held_out = choose_conversations(documents, split, *limits, seed=seed)
    if not examples or not held_out:
        return (
            f"{len(examples)} training and {len(held_out)} validation documents are conversations (a source with the "
            "reader `conversations`, or documents with a target); a chat model needs both"
        )
    base = files.load_base_model(config.init_from, seed, environment)
    model, tokenizer = base.model, base.tokenizer
    if not isinstance(model, GenerativeModel) or not isinstance(model, TrainableModel):
        return f"a model of family {model.config.family} cannot be trained to hold conversations"
    if config.packing and not model.config.supports_document_mask:
        return f"a model of family {model.config.family} cannot learn from packed conversations: set packing to false"
    template = chat_template_of(base.folder, config.chat_template, tokenizer)
    reads_source, padding = model.reads_source, tokenizer.vocabulary.padding_id
    adapt(model, config.lora, config.frozen_layers, seed=seed)
    model.to(pick_device())
    tracked = tracked_finetuning("chat", config, split, seed, environment, files, base, prompt=config.chat_template)
    with tracked as training:
        if training is not None:
            batches = chat_batches(
                examples, held_out, template, config, seed=seed, padding=padding, reads_source=reads_source
            )
            record = training.train(model, batches, config.training, seed=seed)
            save_finetuned(training, record, model, tokenizer, config.lora, chat_template=template.source)
    return None
