"""Evaluates the completion model on test prompts, compared with baselines that copy from the prompt or from training
examples."""

from collections.abc import Sequence
from pathlib import Path

from lmcore.config.base import Split
from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.evaluation.completion import HeldOutPrompts, compare_with_baselines, complete_prompts
from lmcore.evaluation.completion_baselines import Pairs
from lmcore.evaluation.result import EvaluationResult
from lmcore.evaluation.texts.answers import final_answers
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

LABEL = "label"
"""The column whose values divide the test prompts into groups, which are evaluated in addition to all prompts."""


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
    examples: dict[Split, list[CompletionExample]] = {}
    if reason is None:
        prompt_format = _prompt_format(models / "completion")
        examples = _read_examples(config, finetune, split, documents, prompt_format.fields)
        reason = None if examples["test"] else "no test document has both a prompt and a completion"
    if reason is not None:
        write_result(output, "completion", EvaluationResult(skipped=reason))
        return
    model, tokenizer = generative_model_on_device(models / "completion")
    generator = Generator(model, tokenizer, prompt_format)
    test, separator = examples["test"], config.completion.answer_separator
    ids = [example.id for example in test]
    result = compare_with_baselines(
        f"fine-tuned {generator.model.config.display_name}",
        final_answers(complete_prompts(generator, [example.values for example in test], config.completion), separator),
        HeldOutPrompts(
            ids,
            [generator.prompt_text(example.values) for example in test],
            *_pairs(test, prompt_format.fields, separator),
            [example.values[LABEL] for example in test],
        ),
        training=_pairs(examples["train"], prompt_format.fields, separator),
        validation=_pairs(_clean(examples["validation"], output), prompt_format.fields, separator),
        is_clean=read_is_clean(output, ids),
        config=config,
    )
    write_result(output, "completion", result)


def _read_examples(
    config: EvaluateConfig,
    finetune: FinetuneConfig,
    split: SplitFractions,
    documents: Path,
    variables: Sequence[str],
) -> dict[Split, list[CompletionExample]]:
    """The examples that the model was trained on, drawn as in its training, and those for selecting baselines and for
    testing."""
    if finetune.completion is None:
        raise UserError(
            "there is a completion model, but finetune.completion is null in params.yaml: run `dvc repro finetune`"
        )
    table = read_documents(documents, completion_columns((*variables, LABEL)))
    found = completion_examples(table, split, finetune.completion.examples)
    limit = config.completion.max_documents
    return {
        "train": choose_examples(found["train"], finetune.completion.max_train_samples, finetune.seed),
        "validation": choose_examples(found["validation"], limit, config.seed),
        "test": choose_examples(found["test"], limit, config.seed),
    }


def _clean(examples: Sequence[CompletionExample], output: Path) -> Sequence[CompletionExample]:
    """The examples from clean documents, on which models are compared; all, if there are none."""
    is_clean = read_is_clean(output, [example.id for example in examples])
    return [example for example, clean in zip(examples, is_clean, strict=True) if clean] or examples


def _pairs(examples: Sequence[CompletionExample], variables: Sequence[str], separator: str | None) -> Pairs:
    """What the baselines read of the prompts, the values of their variables one after the other; and the answers."""
    return (
        ["\n".join(example.values[name] for name in variables) for example in examples],
        final_answers([example.completion for example in examples], separator),
    )


def _prompt_format(folder: Path) -> PromptFormat:
    prompt_format = read_description(folder).prompt_format
    if prompt_format is None:
        raise UserError(f"{folder} holds no completion model: its config.json has no prompt_format")
    return prompt_format
