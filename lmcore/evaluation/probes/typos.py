"""How much typing errors disturb a model.

Source: after Belinkov and Bisk (2018), "Synthetic and Natural Noise Both Break Neural Machine Translation",
https://arxiv.org/abs/1711.02173.
"""

import string
from collections.abc import Callable, Sequence

import numpy as np

from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.intervals import Bootstrap, proportion, ratio
from lmcore.evaluation.probes.probe import Probe, ProbeRow
from lmcore.evaluation.probes.text_likelihood import TextScorer

METHOD = (
    "At this rate, letters and digits are left out, doubled, swapped with the next one or replaced by a random letter."
)


def with_typos(text: str, rate: float, seed: int) -> str:
    """A text in which each letter or digit has an error with probability ``rate``; equal arguments give equal texts."""
    generator = np.random.default_rng(seed)
    is_wrong, kinds = generator.random(len(text)) < rate, generator.integers(0, 4, len(text))
    letters = list(text)
    for index in np.flatnonzero(is_wrong):
        own = letters[index]
        if not own.isalnum():
            continue
        kind = kinds[index]
        if kind == 0:
            letters[index] = ""
        elif kind == 1:
            letters[index] = own * 2
        elif kind == 2 and index + 1 < len(letters) and text[index + 1].isalnum():
            letters[index], letters[index + 1] = letters[index + 1], own
        else:
            letters[index] = string.ascii_lowercase[generator.integers(26)]
    return "".join(letters)


def probe_likelihood(
    score: TextScorer, texts: Sequence[str], rates: Sequence[float], *, seed: int, bootstrap: BootstrapConfig
) -> Probe:
    """Bits per byte of texts with errors at several rates, and without."""
    resamples = Bootstrap(len(texts), bootstrap, seed)
    rows = []
    for rate in (0.0, *rates):
        noisy = [with_typos(text, rate, seed + number) for number, text in enumerate(texts)]
        n_bytes = np.array([max(len(text.encode()), 1) for text in noisy], np.float64)
        statistics = np.stack((-score(noisy) / np.log(2), n_bytes), axis=1)
        rows.append(
            ProbeRow((_percent(rate),), len(texts), resamples.estimate(statistics, ratio, within=(0.0, np.inf)))
        )
    return Probe(
        name="typos",
        title="Typing errors: language model",
        method=METHOD,
        measure="bits per byte",
        unit="bits per byte",
        conditions=("errors",),
        rows=rows,
    )


def probe_accuracy(
    predict: Callable[[Sequence[str]], Sequence[str]],
    texts: Sequence[str],
    labels: Sequence[str],
    rates: Sequence[float],
    *,
    seed: int,
    confidence: float,
) -> Probe:
    """A classifier's accuracy on texts with errors at several rates, and without."""
    rows = []
    for rate in (0.0, *rates):
        noisy = [with_typos(text, rate, seed + number) for number, text in enumerate(texts)]
        hits = np.array([own == label for own, label in zip(predict(noisy), labels, strict=True)], bool)
        rows.append(ProbeRow((_percent(rate),), len(texts), proportion(hits, confidence)))
    return Probe(
        name="typos_classifier",
        title="Typing errors: classifier",
        method=METHOD,
        measure="accuracy",
        unit="fraction",
        conditions=("errors",),
        rows=rows,
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:g} % of the letters"
