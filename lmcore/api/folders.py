"""Where a model may be saved: saving replaces a folder, so it must not hold anything else."""

from pathlib import Path

from lmcore.errors import UserError

MODEL_FILES = {
    *("SHA256SUMS", "config.json", "record.json", "tokenizer.json", "weights.safetensors"),
    *("adapter", "chat_template.jinja"),
    *("generation_config.json", "model.safetensors", "special_tokens_map.json", "tokenizer_config.json"),
    "modeling_gpt.py",
}
"""The files of a model folder, and those of a folder of Hugging Face ``transformers``."""


def model_target(folder: str | Path) -> Path:
    """The absolute path of a folder to save a model to; symbolic links are followed.

    Raises:
        UserError: if the folder is the working directory or contains it, is a file, lies below one, or holds files
            that are not a model's.
    """
    if not isinstance(folder, str | Path):
        raise UserError(f"folder is a {type(folder).__name__}, expected a string or a path")
    path, here = Path(folder).resolve(), Path().resolve()
    if here.is_relative_to(path):
        raise UserError(f"folder {str(folder)!r} is the working directory or contains it: choose a new folder")
    file = next((part for part in (path, *path.parents) if part.exists() and not part.is_dir()), None)
    if file is not None:
        raise UserError(f"folder {str(folder)!r}: {file} is a file; choose a new folder")
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in MODEL_FILES) if path.exists() else []
    if foreign:
        raise UserError(
            f"folder {str(folder)!r} holds files that do not belong to a model ({', '.join(foreign[:3])}), and saving "
            "replaces the folder: choose a new one"
        )
    return path
