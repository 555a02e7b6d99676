"""Fine-tunes a model with verifiable rewards, by group relative policy optimization."""

from lmcore.config.grpo import GRPOTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.adaptation import adapt
from lmcore.finetuning.chat.examples import CHAT_COLUMNS
from lmcore.finetuning.chat.preparation import chat_template_of, choose_conversations
from lmcore.finetuning.grpo.objective import GroupRelativeObjective, reference_of
from lmcore.finetuning.grpo.prompts import PromptBatches, verifiable_prompts
from lmcore.finetuning.grpo.rewards import combined_reward
from lmcore.finetuning.grpo.rollouts import Sampler
from lmcore.models.device import pick_device
from lmcore.models.generative import GenerativeModel
from lmcore.models.trainable import TrainableModel
from lmcore.text.documents.shards import read_documents
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.finetune.files import FinetuneFiles, save_finetuned, tracked_finetuning


@task
def finetune_grpo(
    config: GRPOTrainingConfig, split: SplitFractions, seed: int, environment: Environment, files: FinetuneFiles
) -> str | None:
    """Train a model with verifiable rewards; return why it is not trained, or None if it is."""
    documents = read_documents(files.documents, CHAT_COLUMNS)
    limits = (config.max_train_samples, config.training.max_eval_samples)
    conversations = choose_conversations(documents, split, *limits, seed=seed)
    base = files.load_base_model(config.init_from, seed, environment)
    model, tokenizer = base.model, base.tokenizer
    if not isinstance(model, GenerativeModel) or not isinstance(model, TrainableModel):
        return f"a model of family {model.config.family} cannot be trained with rewards"
    template = chat_template_of(base.folder, None, tokenizer)
    training_prompts, held_out = (
        verifiable_prompts(part, template, max_prompt_tokens=config.max_prompt_tokens) for part in conversations
    )
    if not training_prompts or not held_out:
        return (
            f"{len(training_prompts)} training and {len(held_out)} validation documents have a prompt of at most "
            f"{config.max_prompt_tokens} tokens (finetune.grpo.max_prompt_tokens) with an answer; rewards need both"
        )
    model.to(pick_device())
    reference = reference_of(model)
    adapt(model, config.lora, config.frozen_layers, seed=seed)
    sampler = Sampler(
        tokenizer,
        template,
        combined_reward(config.rewards),
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
    )
    with tracked_finetuning("grpo", config, split, seed, environment, files, base) as training:
        if training is not None:
            batches = PromptBatches(
                training_prompts,
                held_out,
                batch_size=config.training.batch_size,
                num_iterations=config.num_iterations,
                seed=seed,
                padding=tokenizer.vocabulary.padding_id,
            )
            objective = GroupRelativeObjective(model, config, sampler, batches.prompts, reference)
            record = training.train(objective, batches, config.training, seed=seed)
            save_finetuned(training, record, model, tokenizer, config.lora, chat_template=template.source)
    return None
