"""Evaluates the completion model on test prompts, compared with the first sentence of each prompt."""

from collections.abc import Sequence
from pathlib import Path

from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.evaluation.completion import complete_prompts, evaluate_completions, first_sentence
from lmcore.evaluation.names import FIRST_SENTENCE, MODEL
from lmcore.evaluation.result import EvaluationResult
from lmcore.finetuning.completion.examples import CompletionExample, completion_columns, completion_examples
from lmcore.finetuning.examples import choose_examples
from lmcore.generation import Generator
from lmcore.models.folder import read_description
from lmcore.models.prompt import PromptFormat
from lmcore.text.documents.shards import read_documents
from tasks.context.prefect import task
from tasks.evaluate.contamination import read_is_clean
from tasks.evaluate.models import generative_model_on_device, why_absent
from tasks.evaluate.results import write_result


@task
def evaluate_completion(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    *,
    documents: Path,
    models: Path,
    output: Path,
) -> None:
    """Write ``completion.json`` into ``output``: metrics, and every prompt with its reference and completions."""
    reason = why_absent(models, "completion")
    examples: list[CompletionExample] = []
    if reason is None:
        prompt_format = _prompt_format(models / "completion")
        examples = _read_examples(config, finetune, split, documents, prompt_format.fields)
        reason = None if examples else "no test document has both a prompt and a completion"
    if reason is not None:
        write_result(output, "completion", EvaluationResult(skipped=reason))
        return
    model, tokenizer = generative_model_on_device(models / "completion")
    generator = Generator(model, tokenizer, prompt_format)
    completions = {
        MODEL: complete_prompts(generator, [example.values for example in examples], config.completion),
        FIRST_SENTENCE: [first_sentence(example.values[prompt_format.truncated_field]) for example in examples],
    }
    references = [example.completion for example in examples]
    is_clean = read_is_clean(output, [example.id for example in examples])
    metrics, signatures = evaluate_completions(completions, references, is_clean, config)
    names = {
        MODEL: f"fine-tuned {generator.model.config.display_name}",
        FIRST_SENTENCE: "first sentence of the prompt",
    }
    rows = [
        {
            "id": example.id,
            "prompt": generator.prompt_text(example.values),
            "reference": example.completion,
        }
        | {name: texts[index] for name, texts in completions.items()}
        for index, example in enumerate(examples)
    ]
    result = EvaluationResult(names, metrics, {"signatures": signatures, "completions": rows})
    write_result(output, "completion", result)


def _read_examples(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    documents: Path,
    variables: Sequence[str],
) -> list[CompletionExample]:
    if finetune.completion is None:
        raise UserError(
            "there is a completion model, but finetune.completion is null in params.yaml: run `dvc repro finetune`"
        )
    table = read_documents(documents, completion_columns(variables))
    test = completion_examples(table, split, finetune.completion.examples)["test"]
    return choose_examples(test, config.completion.max_documents, config.seed)


def _prompt_format(folder: Path) -> PromptFormat:
    prompt_format = read_description(folder).prompt_format
    if prompt_format is None:
        raise UserError(f"{folder} holds no completion model: its config.json has no prompt_format")
    return prompt_format
