"""Compares prompts on the language model, without training it for them: zero-shot and few-shot."""

from pathlib import Path
from typing import Any

from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.prompts import PromptsConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.evaluation.completion import HeldOutPrompts, compare_with_baselines
from lmcore.evaluation.prompts.answers import PromptedModel
from lmcore.evaluation.prompts.picking import ExamplePicker, prompt_columns, prompt_examples
from lmcore.evaluation.result import EvaluationResult
from lmcore.finetuning.completion.examples import CompletionExample
from lmcore.finetuning.examples import choose_examples
from lmcore.models.generative import CausalModel
from lmcore.models.prompt_template import read_prompt, template_fields
from lmcore.runtime.files import write_json
from lmcore.text.documents.shards import read_documents
from tasks.context.prefect import task
from tasks.evaluate.contamination import read_is_clean
from tasks.evaluate.models import language_model_on_device
from tasks.evaluate.results import write_result

METRIC = "exact_match"


@task
def evaluate_prompts(
    config: EvaluateConfig, split: SplitFractions, *, documents: Path, language_model: Path, output: Path
) -> None:
    """Write ``prompts.json`` into ``output``: how often each prompt gets the expected answer, and their differences."""
    if config.prompts is None:
        write_json(output / "prompts.json", EvaluationResult(skipped="no prompts are configured").as_json())
        return
    model, tokenizer = language_model_on_device(language_model)
    if not isinstance(model, CausalModel):
        reason = f"a model of family {model.config.family} does not continue a text, as prompts need"
        write_result(output, "prompts", EvaluationResult(skipped=reason))
        return
    templates = {variant.name: read_prompt(variant.template) for variant in config.prompts.variants}
    variables = sorted({name for template in templates.values() for name in template_fields(template)})
    found = prompt_examples(
        read_documents(documents, prompt_columns(config.prompts.examples, variables)), split, config.prompts.examples
    )
    pool = choose_examples(found["train"], config.prompts.max_train_samples, config.seed)
    validation, test = (
        choose_examples(found[name], config.prompts.max_documents, config.seed) for name in ("validation", "test")
    )
    if not test or not pool:
        reason = f"there are {len(pool)} training and {len(test)} test examples, and both are needed"
        write_result(output, "prompts", EvaluationResult(skipped=reason))
        return
    prompted = PromptedModel(model, tokenizer, config.prompts, [example.completion for example in pool])
    picker = ExamplePicker(pool, config.completion.neighbors.words, seed=config.seed)
    answers, shown = {}, []
    for variant in config.prompts.variants:
        given = prompted.answer(templates[variant.name], test, picker.pick(variant, test))
        answers[f"prompt_{variant.name}"] = (f"prompt {variant.name}", given.texts)
        shown.append(_description(config.prompts, variant.name, templates[variant.name], given.n_dropped_examples))
    (first, own), *others = answers.values()
    ids = [example.id for example in test]
    by_match = config.completion.model_copy(update={"metric": METRIC})
    result = compare_with_baselines(
        f"{model.config.display_name}, {first}",
        own,
        HeldOutPrompts(ids, _texts(test), _texts(test), [example.completion for example in test]),
        training=(_texts(pool), [example.completion for example in pool]),
        validation=(_texts(validation), [example.completion for example in validation]),
        is_clean=read_is_clean(output, ids),
        config=config.model_copy(update={"completion": by_match}),
        others=dict(zip(list(answers)[1:], others, strict=True)),
    )
    write_result(output, "prompts", result.with_details(prompts=shown))


def _description(config: PromptsConfig, name: str, template: str, n_dropped_examples: int) -> dict[str, Any]:
    (variant,) = (variant for variant in config.variants if variant.name == name)
    return {
        "name": name,
        "template": template,
        "num_fewshot": variant.num_fewshot,
        "example_picker": variant.example_picker,
        "answer": config.answer,
        "n_dropped_examples": n_dropped_examples,
    }


def _texts(examples: list[CompletionExample]) -> list[str]:
    """What baselines know about the examples."""
    return ["\n".join(filter(None, example.values.values())) for example in examples]
