"""How much generated texts share with their references: BLEU, chrF and ROUGE-L.

Sources: Papineni et al. (2002), https://aclanthology.org/P02-1040; Popović (2015),
https://aclanthology.org/W15-3049; Lin (2004), https://aclanthology.org/W04-1013. BLEU and chrF are
sacreBLEU's (Post 2018, https://aclanthology.org/W18-6319), whose signatures say how exactly they were
computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Self

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from lmcore.evaluation.bootstrap import Bootstrap, Estimate, Floats, ratio


@dataclass(frozen=True)
class OverlapMeasures:
    """Figures of one system's texts, all of them from 0 to 100, and the signatures of those that have one."""

    bleu: Estimate
    chrf: Estimate
    rouge_l: Estimate
    signatures: dict[str, str]

    @classmethod
    def of(cls, texts: Sequence[str], references: Sequence[str], bootstrap: Bootstrap) -> Self:
        """Compare every text with its one reference.

        BLEU and chrF sum matches over all texts, then divide; ROUGE-L is the mean F-measure of the texts.
        """
        bleu, chrf = BLEU(), CHRF()
        scorer = RougeScorer(["rougeL"], use_stemmer=False)
        pairs = zip(texts, references, strict=True)
        rouge_l = [100 * scorer.score(reference, text)["rougeL"].fmeasure for text, reference in pairs]
        return cls(
            bleu=_estimate(bleu, texts, references, bootstrap),
            chrf=_estimate(chrf, texts, references, bootstrap),
            rouge_l=bootstrap.estimate(np.stack((rouge_l, np.ones(len(texts))), axis=1), ratio),
            signatures={
                "bleu": str(bleu.get_signature()),
                "chrf": str(chrf.get_signature()),
                "rouge_l": f"rouge-score rougeL fmeasure|stemmer:no|version:{version('rouge-score')}",
            },
        )


def _estimate(metric: Metric, texts: Sequence[str], references: Sequence[str], bootstrap: Bootstrap) -> Estimate:
    # sacreBLEU resamples the same way, but with a seed from the environment and no percentiles; its counts of
    # matches per text are not part of its public interface, so a test compares with its public figures.
    statistics = np.asarray(metric._extract_corpus_statistics(texts, [references]), dtype=np.float64)

    def measure(sums: Floats) -> Floats:
        rows = sums.reshape(-1, sums.shape[-1])
        scores = [float(metric._compute_score_from_stats(row.tolist()).score) for row in rows]
        return np.asarray(scores).reshape(sums.shape[:-1])

    return bootstrap.estimate(statistics, measure)
