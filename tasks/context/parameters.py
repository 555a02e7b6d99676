"""``params.yaml`` as one checked value; all its errors are reported at once, each with path, value and remedy."""

from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from lmcore.config.base import LANGUAGE_MODEL, SCRATCH, Config
from lmcore.config.clean import CleanConfig
from lmcore.config.collect import CollectConfig
from lmcore.config.evaluate import EvaluateConfig
from lmcore.config.finetune import FinetuneConfig
from lmcore.config.models import max_position_embeddings_of
from lmcore.config.tokenize import TokenizeConfig
from lmcore.config.training import PretrainConfig
from lmcore.errors import UserError
from lmcore.models.prompt_template import check_field, read_prompt
from tasks.context.parameter_errors import error_lines, validated
from tasks.context.preset_section import PRESETS, with_preset
from tasks.context.trainer_section import TRAINER, with_trainer
from tasks.context.yaml_values import read_yaml, shown

COMPLETION_PROMPTS, EVALUATION_PROMPTS = Path("prompts/completion"), Path("prompts/evaluation")
"""The folders of prompt templates on which the stages finetune and evaluate depend."""
VERSION = 2
"""The format of ``params.yaml``; ``flows/upgrade.py`` converts older files."""


class Parameters(Config):
    """The sections of ``params.yaml``, one per stage. Every training has the keys of ``trainer`` as well as its own,
    and pretraining those of the preset that it names."""

    collect: CollectConfig
    clean: CleanConfig
    tokenize: TokenizeConfig
    pretrain: PretrainConfig
    finetune: FinetuneConfig
    evaluate: EvaluateConfig

    @model_validator(mode="after")
    def _family_takes_adapters(self) -> Self:
        if self.pretrain.model is None:
            return self
        family = self.pretrain.model.family
        adapted = [
            f"finetune.{name}.lora"
            for name, section in self.finetune.sections.items()
            if getattr(section, "lora", None) and self._starts_from_language_model(name)
        ]
        if adapted and not self.pretrain.model.takes_adapters:
            raise ValueError(
                f"{' and '.join(adapted)}: a model of family {family} has no linear layers for adapters; set it to null"
            )
        return self

    @model_validator(mode="after")
    def _prompts_are_dependencies(self) -> Self:
        completion, prompts = self.finetune.completion, self.evaluate.prompts
        named = [] if completion is None else [("finetune.completion.prompt", completion.prompt, COMPLETION_PROMPTS)]
        named += [
            (f"evaluate.prompts.variants.{index}.template", variant.template, EVALUATION_PROMPTS)
            for index, variant in enumerate(() if prompts is None else prompts.variants)
        ]
        for name, path, folder in named:
            if path.parent != folder:
                raise ValueError(f"{name} is {path}: put the file into {folder}/, which the stage depends on")
        return self

    @model_validator(mode="after")
    def _prompt_has_the_field_that_is_shortened(self) -> Self:
        completion = self.finetune.completion
        if completion is not None and completion.prompt.is_file():
            try:
                check_field(read_prompt(completion.prompt), completion.truncated_field)
            except UserError as error:
                raise ValueError(f"finetune.completion.truncated_field, finetune.completion.prompt: {error}") from None
        return self

    @model_validator(mode="after")
    def _sequences_fit_the_context(self) -> Self:
        context = max_position_embeddings_of(self.pretrain.model) if self.pretrain.model else None
        if self.pretrain.model is None or context is None:
            return self
        sizes = {
            "pretrain.sequence_length": self.pretrain.sequence_length,
            "evaluate.likelihood.window_stride_tokens": self.evaluate.likelihood.window_stride_tokens,
            "evaluate.samples.generation.max_new_tokens": self.evaluate.samples.generation.max_new_tokens + 1,
        }
        completion = self.finetune.completion
        if completion and self._starts_from_language_model("completion"):
            answer = max(completion.max_completion_tokens, self.evaluate.completion.generation.max_new_tokens)
            if self.pretrain.model.reads_source:
                sizes["finetune.completion.max_prompt_tokens"] = completion.max_prompt_tokens + 1
                sizes["the completion with its end token"] = answer + 1
            else:
                both = completion.max_prompt_tokens + answer
                sizes["finetune.completion.max_prompt_tokens with the completion"] = both
        too_large = [f"{name} needs {size}" for name, size in sizes.items() if size > context]
        if too_large:
            raise ValueError(
                f"pretrain.model.max_position_embeddings is {context}, but {' and '.join(too_large)} tokens"
            )
        return self

    def _starts_from_language_model(self, name: str) -> bool:
        """Whether a fine-tuned model is the language model trained further, or has its shape."""
        init_from = self.finetune.sections[name].init_from
        if init_from in self.finetune.sections:
            return self._starts_from_language_model(init_from)
        return init_from in (SCRATCH, LANGUAGE_MODEL)


def load_parameters(
    path: Path,
    *,
    consequence: str = "nothing was started",
    shown_as: Path | None = None,
    preset: str | None = None,
) -> Parameters:
    """Read and check a whole parameter file.

    Args:
        path: the file.
        consequence: what the message says did not happen because of an error.
        shown_as: the path that messages name, if ``path`` is to be renamed to it.
        preset: the preset of pretraining to use instead of what the file names.

    Raises:
        UserError: with one line per error (path in the file, value, remedy), all of them at once; or if the file has
            another version.
        FileNotFoundError: if there is no such file.
    """
    name = shown_as or path
    values = _read(path, name, consequence)
    _check_version(values, name, consequence)
    sections = {name: section for name, section in values.items() if name != "version"}
    if preset is not None and isinstance(sections.get("pretrain"), dict):
        sections["pretrain"] = sections["pretrain"] | {"model": preset}
    merged = with_trainer(with_preset(sections))
    parameters, errors = validated(Parameters, merged)
    lines = error_lines(Parameters, errors, merged, sections)
    if parameters is None or lines:
        count = f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
        raise UserError("\n  ".join([f"{name} has {count}; {consequence}:", *lines]))
    return parameters


def _check_version(values: dict[str, Any], path: Path, consequence: str) -> None:
    """Refuse the values of a file in another format than this release reads.

    Raises:
        UserError: with the command that converts an older file.
    """
    if "version" not in values and "trainer" in values:
        raise UserError(
            f"{path} has no version, but its sections are those of format {VERSION}; {consequence}. "
            f"Add `version: {VERSION}`"
        )
    version = values.get("version", 1)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise UserError(f"{path}: version = {shown(version)}: expected {VERSION}; {consequence}")
    if version < VERSION:
        raise UserError(
            f"{path} is in format {version}, but this release reads format {VERSION}; {consequence}. "
            f"Convert it with `python -m flows.upgrade {path}`"
        )
    if version > VERSION:
        raise UserError(
            f"{path} is in format {version}, but this release reads format {VERSION} at most; {consequence}. "
            f"Use the release that wrote it, or restore the file with git"
        )


def _read(path: Path, name: Path, consequence: str) -> dict[str, Any]:
    try:
        values = read_yaml(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{name} is missing: run from the project's root, or restore it with git") from None
    except UserError as error:
        problem, *lines = str(error).split("\n")
        end = ":" if lines else ""
        raise UserError("\n".join([f"{name} {problem.removesuffix(':')}; {consequence}{end}", *lines])) from None
    if values is None:
        raise UserError(f"{name} is empty; {consequence}: restore it with `git checkout {name}`")
    if not isinstance(values, dict):
        sections = ", ".join([*Parameters.model_fields, TRAINER, PRESETS])
        raise UserError(f"{name} contains {shown(values)}; {consequence}: it needs the sections {sections}")
    return values
