"""Fine-tunes a model on preferences, by direct preference optimization."""

from functools import partial

from lmcore.config.dpo import DPOTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.adaptation import adapt
from lmcore.finetuning.chat.examples import CHAT_COLUMNS
from lmcore.finetuning.chat.preparation import chat_template_of, choose_conversations
from lmcore.finetuning.dpo.objective import DirectPreferenceObjective
from lmcore.finetuning.dpo.pairs import PreferenceBatches, encode_pairs, pair_log_probabilities
from lmcore.models.device import pick_device
from lmcore.models.generative import GenerativeModel
from lmcore.models.trainable import TrainableModel
from lmcore.text.documents.shards import read_documents
from lmcore.training.precision import compute_dtype
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.finetune.files import FinetuneFiles, save_finetuned, tracked_finetuning


@task
def finetune_dpo(
    config: DPOTrainingConfig, split: SplitFractions, seed: int, environment: Environment, files: FinetuneFiles
) -> str | None:
    """Train a model on preferences; return why it is not trained, or None if it is."""
    documents = read_documents(files.documents, CHAT_COLUMNS)
    documents = documents.filter(documents["rejected"].is_valid())
    limits = (config.max_train_samples, config.training.max_eval_samples)
    conversations = choose_conversations(documents, split, *limits, seed=seed)
    base = files.load_base_model(config.init_from, seed, environment)
    model, tokenizer = base.model, base.tokenizer
    if not isinstance(model, GenerativeModel) or not isinstance(model, TrainableModel):
        return f"a model of family {model.config.family} cannot be trained on preferences"
    template = chat_template_of(base.folder, None, tokenizer)
    encode = partial(encode_pairs, template=template, max_tokens=config.max_tokens, reads_source=model.reads_source)
    training_pairs, held_out = (encode(part).pairs for part in conversations)
    if not training_pairs or not held_out:
        return (
            f"{len(training_pairs)} training and {len(held_out)} validation documents have a chosen and a rejected "
            f"answer of at most {config.max_tokens} tokens with their prompt (finetune.dpo.max_tokens); preferences "
            "need both"
        )
    model.to(pick_device())
    with tracked_finetuning("dpo", config, split, seed, environment, files, base) as training:
        if training is not None:
            batch_size = config.training.batch_size
            # The reference computes as the policy will, so that they agree before the first step.
            model.compute_in(compute_dtype(config.training, model.device))
            references = [
                pair_log_probabilities(model, pairs, batch_size=batch_size) for pairs in (training_pairs, held_out)
            ]
            adapt(model, config.lora, config.frozen_layers, seed=seed)
            padding = tokenizer.vocabulary.padding_id
            batches = PreferenceBatches(
                training_pairs, held_out, *references, batch_size=batch_size, seed=seed, padding=padding
            )
            record = training.train(DirectPreferenceObjective(model, config), batches, config.training, seed=seed)
            save_finetuned(training, record, model, tokenizer, config.lora, chat_template=template.source)
    return None
