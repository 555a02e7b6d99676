"""Fine-tunes a model that completes prompts."""

from lmcore.config.completion import CompletionTrainingConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.finetuning.adaptation import adapt
from lmcore.finetuning.completion.examples import completion_columns
from lmcore.finetuning.completion.preparation import choose_completion_data, completion_batches, prompt_format_of
from lmcore.generation import Generator
from lmcore.models.device import pick_device
from lmcore.models.generative import GenerativeModel
from lmcore.models.prompt_template import read_prompt
from lmcore.models.trainable import TrainableModel
from lmcore.text.documents.shards import read_documents
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.finetune.completion_measure import completion_measure
from tasks.finetune.files import FinetuneFiles, save_finetuned, tracked_finetuning


@task
def finetune_completion(
    config: CompletionTrainingConfig, split: SplitFractions, seed: int, environment: Environment, files: FinetuneFiles
) -> str | None:
    """Train a model that completes prompts; return why it is not trained, or None if it is."""
    prompt_format = prompt_format_of(config, read_prompt(config.prompt))
    documents = read_documents(files.documents, completion_columns(prompt_format.fields))
    examples, held_out = choose_completion_data(documents, split, config, prompt_format, seed=seed)
    if not examples or not held_out:
        return (
            f"{len(examples)} training and {len(held_out)} validation documents have a prompt and a completion "
            "(finetune.completion.examples); a completion model needs both"
        )
    base = files.load_base_model(config.init_from, seed, environment)
    model, tokenizer = base.model, base.tokenizer
    if not isinstance(model, GenerativeModel) or not isinstance(model, TrainableModel):
        return f"a model of family {model.config.family} cannot be trained to complete prompts"
    reads_prompts = model.reads_source
    adapt(model, config.lora, config.frozen_layers, seed=seed)
    model.to(pick_device())
    tracked = tracked_finetuning("completion", config, split, seed, environment, files, base, prompt=config.prompt)
    with tracked as training:
        if training is not None:
            batches, encoded = completion_batches(
                examples, held_out, tokenizer, prompt_format, config.training, seed=seed, reads_prompts=reads_prompts
            )
            measure = completion_measure(
                Generator(model, tokenizer, prompt_format), held_out, config.training.metric_for_best_model
            )
            record = training.train(model, batches, config.training, seed=seed, measure=measure).model_copy(
                update={"n_cut_answers": encoded.n_cut_answers, "n_cut_prompts": encoded.n_cut_prompts}
            )
            save_finetuned(training, record, model, tokenizer, config.lora, prompt_format=prompt_format)
    return None
