"""What the evaluation can be told."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from lmcore.config import Config
from lmcore.generation.config import GenerationConfig


class LikelihoodConfig(Config):
    """How held-out documents are scored: at most ``max_documents`` of the test split, null for all of them.

    What stands before a token is its document (``context: document``), or everything that was scored before it
    (``stream``, as is usual where documents are sentences of one text). A text longer than the model's context is
    read through a window that moves by ``window_stride_tokens``; ``batch_tokens`` are scored at once. A masked model
    has to read a document once for each of its tokens, so it is judged on ``max_masked_documents``.
    """

    max_documents: PositiveInt | None
    context: Literal["document", "stream"]
    max_masked_documents: PositiveInt
    window_stride_tokens: PositiveInt
    batch_tokens: PositiveInt


class NgramConfig(Config):
    """The Kneser-Ney model that stands beside the neural one: the length of its longest n-gram."""

    order: PositiveInt


class CacheConfig(Config):
    """The cache in the mixture: n-grams up to ``order`` among the last ``n_tokens`` of a document, each token back
    counting ``decay`` times the one behind it, and ``prior`` tokens for what it does not know."""

    order: PositiveInt
    n_tokens: PositiveInt
    decay: Annotated[float, Field(gt=0.0, le=1.0)]
    prior: PositiveFloat


class InterpolationConfig(Config):
    """How the weights of the mixture are fitted on ``max_documents`` documents of the validation split, null for all.

    Contexts are sorted into ``n_confidence_levels`` equally large classes by how sure each model is of its
    prediction, and every class has its own weights, drawn towards the overall ones as if ``prior_tokens``
    more tokens had been seen.
    """

    max_documents: PositiveInt | None
    n_confidence_levels: PositiveInt
    prior_tokens: NonNegativeFloat
    cache: CacheConfig | None
    """Also mixed in; null for none."""


class BootstrapConfig(Config):
    """How intervals are found: from how many resamples of the test items, covering which share."""

    n_resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.0, lt=1.0)]


class BagOfWordsConfig(Config):
    """The logistic regression over weighted words and word pairs that stands beside the classifier.

    ``inverse_regularization`` is scikit-learn's ``C``.
    """

    max_features: PositiveInt
    longest_phrase_words: PositiveInt
    inverse_regularization: PositiveFloat
    max_iterations: PositiveInt


class ClassificationConfig(Config):
    """On how many test documents the classifier is judged, and the baseline beside it."""

    max_documents: PositiveInt
    bag_of_words: BagOfWordsConfig


class CompletionConfig(Config):
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

    n_documents: NonNegativeInt
    max_document_tokens: PositiveInt
    n_completions: NonNegativeInt


class EvaluateConfig(Config):
    """The section ``evaluate`` of ``params.yaml``; ``seed`` draws test documents and resamples."""

    seed: NonNegativeInt
    likelihood: LikelihoodConfig
    ngram: NgramConfig
    interpolation: InterpolationConfig
    bootstrap: BootstrapConfig
    classification: ClassificationConfig
    completion: CompletionConfig
    samples: SamplesConfig
    report: ReportConfig
