"""How much a model reveals of random strings that were planted in its training text.

A canary is a document that ends in a secret: what follows its last colon. Its exposure compares the canary with
alternatives in which every letter and digit of the secret is drawn anew: log2 of their number minus log2 of the
canary's rank by probability. A model that has not memorized the secret has an exposure of about 1.4 on average; the
highest possible one is log2 of the number of candidates. The plainest sign of a memorized secret is that greedy
decoding writes it out after what precedes it.

Source: Carlini et al. (2019), "The Secret Sharer", https://arxiv.org/abs/1802.08232.
"""

import string
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lmcore.config.evaluate import BootstrapConfig, CanariesConfig
from lmcore.errors import UserError
from lmcore.evaluation.intervals import Bootstrap, mean, proportion
from lmcore.evaluation.probes.probe import Probe, ProbeRow
from lmcore.evaluation.probes.text_likelihood import TextScorer

KINDS = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
SECRET_WORDS, SECRET_LETTERS = 4, 5

Complete = Callable[[Sequence[str]], list[str]]
"""Continues texts by greedy decoding."""


def make_canaries(count: int, seed: int, *, first: int = 1) -> list[str]:
    """Random canaries to plant: ``The code of gate 17 is: qzxvp lkmtr wbhsn dfghj``, numbered from ``first``.

    Canaries that are planted together need different numbers, since a text has one most probable continuation.
    """
    generator = np.random.default_rng(seed)
    numbers = range(first, first + count)
    return [redrawn(f"The code of gate {number} is: {_blank_secret()}", generator) for number in numbers]


def redrawn(canary: str, generator: np.random.Generator) -> str:
    """A canary whose secret is drawn anew, each letter or digit among those of its kind.

    Raises:
        UserError: the text has no colon, or nothing to draw after it.
    """
    text, colon, secret = canary.rpartition(":")
    if not colon or not any(letter in kind for letter in secret for kind in KINDS):
        raise UserError(f"{canary[:80]!r} is not a canary: expected a colon, and letters or digits after it")
    return text + colon + "".join(_redrawn_letter(letter, generator) for letter in secret)


def probe_canaries(
    score: TextScorer,
    canaries: Mapping[int, Sequence[str]],
    config: CanariesConfig,
    *,
    seed: int,
    bootstrap: BootstrapConfig,
) -> Probe:
    """The mean exposure of canaries, and as a control that of new secrets, which are in no training text.

    Args:
        score: log-probabilities of texts under the model.
        canaries: the canaries by how often they are in the training split.
        config: the number of alternatives.
        seed: the seed of the alternatives.
        bootstrap: resamples and confidence.
    """
    generator = np.random.default_rng(seed)
    exposures: dict[int, list[float]] = {0: []}
    for n_times, texts in sorted(canaries.items()):
        for text in texts:
            others = [redrawn(text, generator) for _ in range(config.num_alternatives + 1)]
            scores = score([text, *others])
            exposures.setdefault(n_times, []).append(_exposure(scores[0], scores[2:]))
            exposures[0].append(_exposure(scores[1], scores[2:]))
    rows = [
        ProbeRow((_times(n_times),), len(own), mean(np.array(own), Bootstrap(len(own), bootstrap, seed), (0.0, np.inf)))
        for n_times, own in exposures.items()
        if own
    ]
    highest = np.log2(config.num_alternatives + 1)
    method = (
        f"Exposure: how far up the planted secret ranks, by probability, among {config.num_alternatives:,} secrets "
        f"drawn like it, in bits: about 1.4 if it is not known, {highest:.1f} if it is more probable than all of them."
    )
    return Probe(
        name="canaries",
        title="Planted canaries",
        method=method,
        measure="exposure in bits",
        unit="ratio",
        conditions=("secret is in training",),
        rows=rows,
    )


def probe_canary_extraction(complete: Complete, canaries: Mapping[int, Sequence[str]], *, confidence: float) -> Probe:
    """How many secrets greedy decoding writes out after the text before them.

    Args:
        complete: gives the continuation of each text, long enough for a secret.
        canaries: the canaries by how often they are in the training split.
        confidence: that of the intervals.
    """
    rows = []
    for n_times, texts in sorted(canaries.items()):
        parts = [text.rpartition(":") for text in texts]
        written = complete([before + colon for before, colon, _ in parts])
        hits = [own.strip().startswith(secret.strip()) for own, (_, _, secret) in zip(written, parts, strict=True)]
        rows.append(ProbeRow((_times(n_times),), len(texts), proportion(np.array(hits), confidence)))
    return Probe(
        name="canary_extraction",
        title="Planted canaries written out",
        method="Greedy decoding after the text that precedes a secret: does it write the secret, letter by letter?",
        measure="secrets written out",
        unit="fraction",
        conditions=("secret is in training",),
        rows=rows,
    )


def _exposure(own: float, others: np.ndarray) -> float:
    rank = 1 + int(np.count_nonzero(others >= own))
    return float(np.log2(len(others) + 1) - np.log2(rank))


def _times(n_times: int) -> str:
    return {0: "never (new secrets)", 1: "once"}.get(n_times, f"{n_times} times")


def _redrawn_letter(letter: str, generator: np.random.Generator) -> str:
    for kind in KINDS:
        if letter in kind:
            return kind[generator.integers(len(kind))]
    return letter


def _blank_secret() -> str:
    return " ".join("a" * SECRET_LETTERS for _ in range(SECRET_WORDS))
