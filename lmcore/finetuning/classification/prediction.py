"""What a classifier predicts for texts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from lmcore.finetuning.classification.classifier import Classifier
from lmcore.tokens.tokenizer.tokenizer import Tokenizer

THRESHOLD = 0.5
"""The lowest probability at which a text is predicted to have a label, if it may have any number of them."""


def predict(
    classifier: Classifier, tokenizer: Tokenizer, texts: Sequence[str], *, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """Class probabilities of texts, float32 (n_texts, n_classes); they do not depend on the batches.

    They are calibrated by the classifier's temperature. With one label per text they sum to 1.
    """
    logits = torch.from_numpy(predict_logits(classifier, tokenizer, texts, batch_size=batch_size))
    return classifier.probabilities(logits).numpy()


def predict_logits(
    classifier: Classifier, tokenizer: Tokenizer, texts: Sequence[str], *, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """Class logits of texts, float32 (n_texts, n_classes), before the temperature is applied: those of the network
    and, if there is one, of the classifier of n-grams."""
    network, ngrams = logits_of_parts(classifier, tokenizer, texts, batch_size=batch_size)
    return network + ngrams


def logits_of_parts(
    classifier: Classifier, tokenizer: Tokenizer, texts: Sequence[str], *, batch_size: int = 64
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """What the network and the classifier of n-grams (0 if there is none) contribute to the logits."""
    tokens = [tokenizer.encode(text) for text in texts]
    network = network_logits(classifier, tokens, batch_size=batch_size)
    ngrams = classifier.ngram_classifier
    return network, np.zeros_like(network) if ngrams is None else ngrams.logits(ngram_tokens(classifier, tokens))


@torch.inference_mode()
def network_logits(
    classifier: Classifier, texts: Sequence[Sequence[int]], *, batch_size: int = 64
) -> npt.NDArray[np.float32]:
    """The logits of the network alone, float32 (n_texts, n_classes), for the tokens of whole texts."""
    classifier.eval()
    encoded = [_framed(classifier, tokens) for tokens in texts]
    order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
    logits = np.zeros((len(texts), len(classifier.labels)), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        longest = max(len(encoded[index]) for index in batch)
        tokens = torch.full((len(batch), longest), classifier.vocabulary.padding_id)
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
    """What the network reads: the token that starts every document, followed by the text's first or last tokens,
    ``max_tokens`` in total."""
    return _framed(classifier, tokenizer.encode(text))


def _framed(classifier: Classifier, tokens: Sequence[int]) -> list[int]:
    return [classifier.vocabulary.start_id, *_truncated(classifier, tokens, classifier.max_tokens - 1)]


def ngram_tokens(classifier: Classifier, texts: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """What the classifier of n-grams reads of the tokens of whole texts."""
    assert classifier.ngram_classifier is not None
    n_kept = classifier.ngram_classifier.config.max_tokens
    return [_truncated(classifier, tokens, n_kept) for tokens in texts]


def _truncated(classifier: Classifier, tokens: Sequence[int], n_kept: int) -> Sequence[int]:
    return tokens[:n_kept] if classifier.truncation_side == "right" else tokens[max(0, len(tokens) - n_kept) :]
