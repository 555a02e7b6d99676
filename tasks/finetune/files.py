"""What all fine-tunings read and write, and how they are tracked."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lmcore.config.base import Config
from lmcore.config.tokenize import SplitFractions
from lmcore.config.training import LoRAConfig
from lmcore.finetuning.adaptation import save_adapted
from lmcore.models.model import Model
from lmcore.models.prompt import PromptFormat
from lmcore.runtime.files import write_json
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from lmcore.training.record import TrainingRecord
from tasks.base_models import BaseModel, load_base_model
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.context.source_lock import NamedFile
from tasks.training import Training, tracked_training


@dataclass(frozen=True)
class FinetuneFiles:
    """The inputs and outputs of a fine-tuning.

    Attributes:
        documents: the folder of the clean documents.
        language_model: the folder of the pretrained model.
        model_folder: where the fine-tuned model is written, beside the models that were fine-tuned before it.
        curves: where the tables for ``dvc plots`` are written.
        pinned: what the lock file pins for the stage.
    """

    documents: Path
    language_model: Path
    model_folder: Path
    curves: Path
    pinned: Sequence[NamedFile] = ()

    def load_base_model(self, init_from: str, seed: int, environment: Environment) -> BaseModel:
        """The model that a fine-tuning starts from (:func:`tasks.base_models.load_base_model`)."""
        return load_base_model(
            init_from,
            environment,
            seed=seed,
            language_model=self.language_model,
            finetuned=self.model_folder.parent,
            pinned=self.pinned,
        )


@task
def write_summary(path: Path, skipped: dict[str, str]) -> None:
    """Write which models were not trained, and why."""
    write_json(path, {"skipped": skipped})


def tracked_finetuning(
    model: str,
    config: Config,
    split: SplitFractions,
    seed: int,
    environment: Environment,
    files: FinetuneFiles,
    base: BaseModel,
    *,
    vectors: Path | None = None,
    prompt: Path | None = None,
) -> AbstractContextManager[Training | None]:
    """Open the training of a fine-tuned model (:func:`tasks.training.tracked_training`)."""
    vector_files = [] if vectors is None else [vectors]
    prompt_files = [] if prompt is None else [prompt]
    return tracked_training(
        environment,
        stage="finetune",
        model=model,
        family=base.model.config.family,
        parameters={"seed": seed, "split": split.model_dump(), **config.model_dump(mode="json")},
        inputs=[files.documents, base.folder, *vector_files, *prompt_files],
        datasets=[files.documents, *vector_files],
        model_folder=files.model_folder,
        curves=files.curves,
        base_model=base.folder,
    )


def save_finetuned(
    training: Training,
    record: TrainingRecord,
    model: Model,
    tokenizer: Tokenizer,
    lora: LoRAConfig | None,
    *,
    prompt_format: PromptFormat | None = None,
    chat_template: str | None = None,
) -> None:
    """Finish a training with its model; arguments as for :func:`lmcore.finetuning.adaptation.save_adapted`."""
    save = partial(save_adapted, prompt_format=prompt_format, chat_template=chat_template)
    training.save(record, lambda folder: save(folder, model, tokenizer, record.to_json(), lora))
