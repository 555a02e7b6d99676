"""What a classifier predicts for texts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from lmcore.finetuning.classification.classifier import Classifier
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

THRESHOLD = 0.5
"""The probability from which on a text is predicted to have a label, if it may have any number of them."""


def predict(
    classifier: Classifier, tokenizer: Tokenizer, texts: Sequence[str], *, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """Class probabilities of texts, float32 (n_texts, n_classes); they do not depend on the batches.

    They are calibrated by the classifier's temperature. With one label per text they sum to 1.
    """
    logits = torch.from_numpy(predict_logits(classifier, tokenizer, texts, batch_size=batch_size))
    return classifier.probabilities(logits).numpy()


@torch.inference_mode()
def predict_logits(
    classifier: Classifier, tokenizer: Tokenizer, texts: Sequence[str], *, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """Class logits of texts, float32 (n_texts, n_classes), before the temperature is applied."""
    classifier.eval()
    encoded = [encode_for_classifier(classifier, tokenizer, text) for text in texts]
    order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
    logits = np.zeros((len(texts), len(classifier.labels)), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        longest = max(len(encoded[index]) for index in batch)
        tokens = torch.full((len(batch), longest), tokenizer.vocabulary.padding_id)
        for row, index in enumerate(batch):
            tokens[row, : len(encoded[index])] = torch.tensor(encoded[index])
        logits[batch] = classifier(tokens.to(classifier.device)).cpu().numpy()
    return logits


def chosen_labels(classifier: Classifier, probabilities: npt.NDArray[np.floating]) -> list[tuple[str, ...]]:
    """The predicted labels of each text, given its probabilities (n_texts, n_classes): the most probable one, or with
    any number of labels those of at least :data:`THRESHOLD`."""
    if classifier.is_multi_label:
        return [
            tuple(label for label, value in zip(classifier.labels, row, strict=True) if value >= THRESHOLD)
            for row in probabilities
        ]
    return [(classifier.labels[index],) for index in probabilities.argmax(axis=1)]


def encode_for_classifier(classifier: Classifier, tokenizer: Tokenizer, text: str) -> list[int]:
    """The token that starts every document, followed by the text's first or last tokens, ``max_tokens`` in total."""
    tokens, n_kept = tokenizer.encode(text), classifier.max_tokens - 1
    kept = tokens[:n_kept] if classifier.truncation_side == "right" else tokens[max(0, len(tokens) - n_kept) :]
    return [tokenizer.vocabulary.start_id, *kept]
