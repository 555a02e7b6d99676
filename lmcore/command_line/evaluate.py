"""``lmcore evaluate``: how well a model predicts a text file, or a classifier the labels in a file."""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lmcore.api.classifier import TextClassifier
from lmcore.api.language_model import LanguageModel
from lmcore.api.loading import load
from lmcore.command_line.errors import errors_in_one_line
from lmcore.errors import UserError

DESCRIPTION = """\
Evaluate the model in a model folder on a file of UTF-8 text.

A language model scores the text: perplexity per token, and bits per byte, which
compares models with different tokenizers (lower is better for both).
A classifier predicts labels: every line of the file is LABEL<TAB>TEXT.
"""
EPILOG = """\
examples:
  lmcore evaluate models/language-model held-out.txt
  lmcore evaluate models/language-model sentences.txt --lines --json
  lmcore evaluate models/finetuned/classifier labeled.tsv
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (or ``arguments``)."""
    parser = argparse.ArgumentParser(
        prog="lmcore evaluate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="model folder")
    parser.add_argument("file", metavar="FILE", type=Path, help="text file")
    parser.add_argument("--lines", action="store_true", help="score each line as a separate text")
    parser.add_argument("--load-in-8bit", action="store_true", help="score with the 8-bit weights of faster generation")
    parser.add_argument("--json", action="store_true", help="print the metrics as one JSON object")
    options = parser.parse_args(arguments)
    with errors_in_one_line():
        metrics = evaluate(options.model, options.file, are_lines_texts=options.lines, in_8bit=options.load_in_8bit)
        if options.json:
            sys.stdout.write(f"{json.dumps(metrics)}\n")
        else:
            sys.stdout.writelines(f"{name:<24}{_shown(value)}\n" for name, value in metrics.items())


def evaluate(folder: Path, file: Path, *, are_lines_texts: bool = False, in_8bit: bool = False) -> dict[str, float]:
    """The metrics of the model in ``folder`` on a text file, by name.

    Raises:
        FileNotFoundError: if the text file is missing.
        UserError: if it has no text, or the model cannot be evaluated on it.
    """
    model, text = load(folder, load_in_8bit=in_8bit), _read_text(file)
    lines = [line for line in text.splitlines() if line.strip()]
    if isinstance(model, TextClassifier):
        return _classification_metrics(model, [_labeled(line, file) for line in lines])
    if isinstance(model, LanguageModel):
        return _language_model_metrics(model, lines if are_lines_texts else [text])
    raise UserError(f"{folder} holds a masked language model, which cannot score a text token by token")


def _language_model_metrics(model: LanguageModel, texts: Sequence[str]) -> dict[str, float]:
    log_probabilities = [value for text in texts for value in model.score(text).logprobs]
    nats = -sum(log_probabilities)
    n_bytes = sum(len(text.encode()) for text in texts)
    return {
        "texts": len(texts),
        "tokens": len(log_probabilities),
        "bytes": n_bytes,
        "perplexity": math.exp(nats / len(log_probabilities)),
        "bits_per_byte": nats / math.log(2) / n_bytes,
    }


def _classification_metrics(model: TextClassifier, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    counts = Counter(label for _, label in pairs)
    if unknown := sorted(counts.keys() - set(model.labels)):
        n_unknown = sum(counts[label] for label in unknown)
        sys.stderr.write(
            f"warning: {n_unknown} examples have labels that the classifier cannot predict "
            f"({', '.join(unknown)}); they count as errors\n"
        )
    return {
        "examples": len(pairs),
        "accuracy": model.accuracy(pairs),
        "majority_baseline": max(counts.values()) / len(pairs),
    }


def _read_text(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file}: byte {error.start + 1} is not UTF-8; convert it, for example with `iconv -t UTF-8`"
        ) from None
    if not text.strip():
        raise UserError(f"{file} has no text")
    return text


def _labeled(line: str, file: Path) -> tuple[str, str]:
    label, tab, text = line.partition("\t")
    if not tab:
        raise UserError(f"{file}: {line[:60]!r} has no label; for a classifier, every line is LABEL<TAB>TEXT")
    return text, label


def _shown(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
