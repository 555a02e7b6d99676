"""``lmcore convert``: from or to Hugging Face, or from the format of an older release."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lmcore.api.loading import load, load_huggingface
from lmcore.api.models import PretrainedModel
from lmcore.command_line.errors import errors_in_one_line
from lmcore.errors import UserError
from lmcore.models.conversion import convert_model_folder
from lmcore.models.folder import CONFIG, VERSION, folder_version
from lmcore.models.pretrained import is_own_folder

DESCRIPTION = """\
Convert a model. SOURCE decides the direction:

  a folder of Hugging Face transformers (GPT-2, BERT, Llama, Mistral, Qwen2,
  Qwen3 or T5, saved as safetensors with tokenizer.json) becomes a model
  folder of lmcore;
  a model folder of a Transformer becomes a folder for transformers;
  a model folder of an older release becomes one that this release reads.

A folder for transformers with the file modeling_gpt.py brings its own code:
load it with trust_remote_code=True.
"""
EPILOG = """\
examples:
  lmcore convert gpt2 models/gpt2
  lmcore convert models/my-gpt2 exported-gpt2
  lmcore convert models/old-model models/new-model
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (or ``arguments``)."""
    parser = argparse.ArgumentParser(
        prog="lmcore convert",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", type=Path, help="folder of the model")
    parser.add_argument("target", metavar="TARGET", type=Path, help="new folder to write")
    options = parser.parse_args(arguments)
    with errors_in_one_line():
        sys.stdout.write(f"{convert(options.source, options.target)}\n")


def convert(source: Path, target: Path) -> str:
    """Write the model in ``source`` to ``target`` in the other format; returns what was done, in a sentence.

    Raises:
        UserError: if ``source`` holds no model or cannot be converted, or ``target`` exists.
    """
    if target.exists():
        raise UserError(f"{target} exists: choose a new folder, or remove it")
    if not (source / CONFIG).exists():
        raise UserError(f"{source} holds no model: it has no {CONFIG}")
    if not is_own_folder(source):
        load_huggingface(source).save(target)
        return f"wrote {target}: a model folder of lmcore"
    if folder_version(source) < VERSION:
        convert_model_folder(source, target)
        return f"wrote {target}: the same model in the format of this release"
    model = load(source)
    if not isinstance(model, PretrainedModel):
        raise UserError(
            f"{source} holds a classifier; only language, completion and chat models can be exported to Hugging Face"
        )
    model.save_huggingface(target)
    return f"wrote {target}: a folder for Hugging Face transformers"
