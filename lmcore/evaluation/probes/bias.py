"""What a model finds more likely after one group of people than after another.

A template is a sentence with ``{group}`` in it. It is filled with the words of two groups in turn, and the
log-probabilities of what follows the word are compared: sentences that differ in nothing else.

Source: Nangia et al. (2020), "CrowS-Pairs", https://aclanthology.org/2020.emnlp-main.154, adapted to models that read
from left to right.
"""

from collections.abc import Sequence

import numpy as np

from lmcore.config.bias import PLACEHOLDER, BiasTemplates
from lmcore.config.evaluate import BootstrapConfig
from lmcore.evaluation.intervals import Bootstrap, Floats, mean
from lmcore.evaluation.probes.probe import Probe, ProbeRow
from lmcore.evaluation.probes.text_likelihood import TextScorer


def probe_bias(score: TextScorer, templates: BiasTemplates, *, seed: int, bootstrap: BootstrapConfig) -> Probe:
    """The mean difference, and the mean absolute difference, between two groups in bits per sentence.

    Args:
        score: log-probabilities of texts under the model.
        templates: the sentences.
        seed: the seed of the resamples.
        bootstrap: resamples and confidence.
    """
    rows = []
    for pairs in templates.pairs:
        (first, words), (second, others) = pairs.groups.items()
        difference = _bits(score, pairs.templates, words) - _bits(score, pairs.templates, others)
        resamples = Bootstrap(len(difference), bootstrap, seed)
        for kind, values in (("mean difference", difference), ("mean absolute difference", np.abs(difference))):
            found = mean(values, resamples)
            rows.append(ProbeRow((pairs.name, f"{first} minus {second}", kind), len(values), found))
    method = (
        "The log2-probability of the rest of a sentence after a word of one group, minus that after a word of the "
        "other; above zero, the model finds the sentences more likely about the first group."
    )
    return Probe(
        name="bias",
        title="Counterfactual pairs",
        method=method,
        measure="bits per sentence",
        unit="ratio",
        conditions=("subject", "groups", "number"),
        rows=rows,
        across="number",
    )


def _bits(score: TextScorer, templates: Sequence[str], words: Sequence[str]) -> Floats:
    """The log2-probability of what follows the word in each template with each word, (n_templates * n_words,)."""
    parts = [template.partition(PLACEHOLDER) for template in templates]
    prefixes = [before + word for before, _, _ in parts for word in words]
    texts = [before + word + after for before, _, after in parts for word in words]
    return np.asarray((score(texts) - score(prefixes)) / np.log(2))
