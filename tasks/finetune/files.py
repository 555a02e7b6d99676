"""What all fine-tunings read and write, and how they are tracked."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lmcore.config.base import Config
from lmcore.config.tokenize import SplitFractions
from lmcore.runtime.files import write_json
from tasks.context.environment import Environment
from tasks.context.prefect import task
from tasks.training import Training, tracked_training


@dataclass(frozen=True)
class FinetuneFiles:
    """The inputs and outputs of a fine-tuning.

    Attributes:
        documents: the folder of the clean documents.
        language_model: the folder of the pretrained model.
        model_folder: where the fine-tuned model is written.
        curves: where the tables for ``dvc plots`` are written.
    """

    documents: Path
    language_model: Path
    model_folder: Path
    curves: Path


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
    *,
    vectors: Path | None = None,
) -> AbstractContextManager[Training | None]:
    """Open the training of a fine-tuned model (:func:`tasks.training.tracked_training`)."""
    vector_files = [] if vectors is None else [vectors]
    return tracked_training(
        environment,
        stage="finetune",
        model=model,
        parameters={"seed": seed, "split": split.model_dump(), **config.model_dump(mode="json")},
        inputs=[files.documents, files.language_model, *vector_files],
        datasets=[files.documents, *vector_files],
        model_folder=files.model_folder,
        curves=files.curves,
        base_model=files.language_model,
    )
