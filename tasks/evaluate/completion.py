"""The completion model on test prompts, beside the first sentence of the prompt."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmcore.config.evaluate import CompletionEvaluationConfig, EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.tokenize import SplitFractions
from lmcore.errors import UserError
from lmcore.evaluation.baselines import first_sentence
from lmcore.evaluation.bootstrap import Bootstrap
from lmcore.evaluation.contamination import Rows, on_all_and_clean
from lmcore.evaluation.names import FIRST_SENTENCE, MODEL, family_name
from lmcore.evaluation.overlap import TextOverlap
from lmcore.finetuning.examples import choose_examples
from lmcore.finetuning.supervised import COMPLETION_COLUMNS, CompletionExample, completion_examples
from lmcore.generation import Generator
from lmcore.models.folder import read_description
from lmcore.progress import progress
from lmcore.runtime.files import write_json
from lmcore.text.documents.shards import read_documents
from tasks.context.prefect import task
from tasks.evaluate.contamination import is_clean
from tasks.evaluate.models import why_absent, writing_model_on_device

logger = logging.getLogger(__name__)


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
    """Write ``completion.json`` into ``output``: figures, and every prompt with its reference and completions."""
    reason = why_absent(models, "completion")
    examples: list[CompletionExample] = []
    if reason is None:
        examples = _test_examples(config, finetune, split, documents)
        reason = None if examples else "no test document has both a summary and a body"
    if reason is not None:
        logger.warning("The completion model is not evaluated: %s", reason)
        write_json(output / "completion.json", {"skipped": reason})
        return
    completions = {
        MODEL: _complete(models / "completion", [example.prompt for example in examples], config.completion),
        FIRST_SENTENCE: [first_sentence(example.prompt) for example in examples],
    }
    names = {
        MODEL: f"fine-tuned {family_name(read_description(models / 'completion').model)}",
        FIRST_SENTENCE: "prompt's first sentence",
    }
    _write(output, examples, completions, names, config)


def _test_examples(
    config: EvaluateConfig, finetune: FinetuneConfig, split: SplitFractions, documents: Path
) -> list[CompletionExample]:
    if finetune.completion is None:
        raise UserError("there is a completion model that params.yaml does not ask for; run `dvc repro finetune`")
    table = read_documents(documents, COMPLETION_COLUMNS)
    test = completion_examples(table, split, finetune.completion.examples)["test"]
    return choose_examples(test, config.completion.max_documents, config.seed)


def _complete(folder: Path, prompts: Sequence[str], config: CompletionEvaluationConfig) -> list[str]:
    """What the model answers to each prompt; prompts of similar length are asked together."""
    model, tokenizer = writing_model_on_device(folder)
    prompt_format = read_description(folder).prompt_format
    if prompt_format is None:
        raise UserError(f"{folder} holds no completion model: its config.json has no prompt_format")
    generator = Generator(model, tokenizer, prompt_format)
    by_length = sorted(range(len(prompts)), key=lambda index: len(generator.encode(prompts[index])))
    completions = [""] * len(prompts)
    with progress("Complete", len(prompts), "prompts") as work:
        for start in range(0, len(prompts), config.batch_size):
            batch = by_length[start : start + config.batch_size]
            answers = generator.complete([prompts[index] for index in batch], config.generation)
            for index, answer in zip(batch, answers, strict=True):
                completions[index] = (answer.text or "").strip()
            work.advance(len(batch))
    return completions


def _write(
    output: Path,
    examples: Sequence[CompletionExample],
    completions: Mapping[str, list[str]],
    names: Mapping[str, str],
    config: EvaluateConfig,
) -> None:
    references = [example.completion for example in examples]
    overlaps = {name: TextOverlap(texts, references) for name, texts in completions.items()}

    def measure(rows: Rows) -> dict[str, Any]:
        bootstrap = Bootstrap(len(rows), config.bootstrap, config.seed)
        some = {name: overlap.some(rows) for name, overlap in overlaps.items()}
        figures: dict[str, Any] = {name: overlap.figures(bootstrap) for name, overlap in some.items()}
        differences = some[MODEL].differences(some[FIRST_SENTENCE], bootstrap)
        return figures | {"differences": {f"{MODEL}_minus_{FIRST_SENTENCE}": differences}, "n_documents": len(rows)}

    figures = on_all_and_clean(is_clean(output, [example.id for example in examples]), measure)
    rows = [
        {"id": example.id, "prompt": example.prompt, "reference": example.completion}
        | {name: texts[index] for name, texts in completions.items()}
        for index, example in enumerate(examples)
    ]
    found = {"names": names, "figures": figures, "signatures": overlaps[MODEL].signatures, "completions": rows}
    write_json(output / "completion.json", found)
    shown = ", ".join(f"{name} {figures[name]['chrf']['value']:.1f}" for name in overlaps)
    logger.info("chrF of %d completions: %s", len(examples), shown)
