"""Settings of the section ``evaluate``."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from lmcore.config.base import Config
from lmcore.config.generation import GenerationConfig


class LikelihoodConfig(Config):
    """How held-out documents are scored: at most ``max_documents`` of the test split, null for all of them.

    What stands before a token is its document (``context: document``), or everything that was scored before it
    (``stream``, as is usual where documents are sentences of one text). A text longer than the model's context is
    read through a window that moves by ``window_stride_tokens``; ``batch_tokens`` are scored at once. A masked model
    has to read a document once for each token that it predicts, so it is judged on ``max_masked_documents``, and on
    ``max_masked_tokens`` of each, drawn at random.
    """

    max_documents: PositiveInt | None
    context: Literal["document", "stream"]
    max_masked_documents: PositiveInt
    max_masked_tokens: PositiveInt
    window_stride_tokens: PositiveInt
    batch_tokens: PositiveInt


class HeldOutContaminationConfig(Config):
    """Which held-out documents have text in common with the training split: those that share ``ngram_words`` words in
    a row with it. They are left out of the figures whose names end in ``clean``."""

    ngram_words: Annotated[int, Field(ge=2)]


class NgramBaselineConfig(Config):
    """The Kneser-Ney model that stands beside the trained one: the length of its longest n-gram."""

    order: PositiveInt


class CacheConfig(Config):
    """The cache in the mixture: n-grams up to ``order`` among the last ``num_tokens`` of a document, each token back
    counting ``decay`` times the one behind it, and ``prior`` tokens for what it does not know."""

    order: PositiveInt
    num_tokens: PositiveInt
    decay: Annotated[float, Field(gt=0.0, le=1.0)]
    prior: PositiveFloat


class InterpolationConfig(Config):
    """How the weights of the mixture are fitted on ``max_documents`` documents of the validation split, null for all.

    Contexts are sorted into ``num_confidence_levels`` equally large classes by how sure each model is of its
    prediction, and every class has its own weights, drawn towards the overall ones as if ``prior_tokens``
    more tokens had been seen.
    """

    max_documents: PositiveInt | None
    num_confidence_levels: PositiveInt
    prior_tokens: NonNegativeFloat
    cache: CacheConfig | None
    """Also mixed in; null for none."""


class BootstrapConfig(Config):
    """How intervals are found: from how many resamples of the test items, covering which share."""

    num_resamples: Annotated[int, Field(ge=100, le=1_000_000)]
    confidence: Annotated[float, Field(gt=0.0, le=0.999)]


class WordNgramsConfig(Config):
    """Words and phrases as features: phrases of up to ``longest`` words, the ``max_features`` commonest."""

    longest: PositiveInt
    max_features: PositiveInt


class CharacterNgramsConfig(Config):
    """Runs of ``shortest`` to ``longest`` characters as features, from the first ``max_characters`` of a text."""

    shortest: PositiveInt
    longest: PositiveInt
    max_characters: PositiveInt


class LinearConfig(Config):
    """The linear support vector machines that stand beside the classifier.

    Of ``inverse_regularization``, scikit-learn's ``C``, that is used which is the best on the validation split.
    """

    words: WordNgramsConfig
    characters: CharacterNgramsConfig
    inverse_regularization: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    max_iterations: PositiveInt


class ClassificationEvaluationConfig(Config):
    """On how many test documents the classifier is judged, and the baselines beside it."""

    max_documents: PositiveInt
    linear: LinearConfig


class CompletionEvaluationConfig(Config):
    """On how many test prompts the completion model is judged, and how it generates, so many at once."""

    max_documents: PositiveInt
    batch_size: PositiveInt
    generation: GenerationConfig


class SamplesConfig(Config):
    """What the language model is asked to continue."""

    prompts: Annotated[tuple[str, ...], Field(min_length=1)]
    generation: GenerationConfig


class ReportConfig(Config):
    """How much the report shows: documents colored by their loss, and completions beside their references."""

    num_documents: NonNegativeInt
    max_document_tokens: PositiveInt
    num_completions: NonNegativeInt


class EvaluateConfig(Config):
    """The section ``evaluate`` of ``params.yaml``; ``seed`` draws test documents and resamples."""

    seed: NonNegativeInt
    contamination: HeldOutContaminationConfig
    likelihood: LikelihoodConfig
    ngram: NgramBaselineConfig
    interpolation: InterpolationConfig
    bootstrap: BootstrapConfig
    classification: ClassificationEvaluationConfig
    completion: CompletionEvaluationConfig
    samples: SamplesConfig
    report: ReportConfig
