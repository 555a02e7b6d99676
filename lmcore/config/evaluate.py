"""Settings of evaluation."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from lmcore.config.base import Config, Name
from lmcore.config.generation import GenerationConfig
from lmcore.config.prompts import PromptsConfig


class LikelihoodConfig(Config):
    """How the likelihood of held-out documents is computed."""

    max_documents: PositiveInt | None
    """Limit for the documents of the test split; None scores all of them."""
    context: Literal["document", "stream"]
    """The context of a token: the preceding text of its document, or everything that was scored before it, as is usual
    if documents are sentences of one text."""
    max_masked_documents: PositiveInt
    """The limit for a masked model, which reads a document once per predicted token."""
    max_masked_tokens: PositiveInt
    """Tokens of each document that a masked model predicts, drawn at random."""
    window_stride_tokens: PositiveInt
    """Stride of the sliding window over texts that are longer than the model's context."""
    batch_tokens: PositiveInt
    """Tokens that are scored at once."""


class HeldOutContaminationConfig(Config):
    """Held-out documents that share ``ngram_words`` consecutive words with the training split are left out of the
    metrics whose names end in ``clean``."""

    ngram_words: Annotated[int, Field(ge=2)]


class NgramBaselineConfig(Config):
    """The Kneser-Ney n-gram model that serves as baseline; ``order`` is n."""

    order: PositiveInt


class CacheConfig(Config):
    """The cache model of the mixture: n-grams up to ``order`` among the last ``num_tokens`` tokens of a document.

    A token counts ``decay`` times as much as the next one; ``prior`` tokens are set aside for unseen continuations.
    """

    order: PositiveInt
    num_tokens: PositiveInt
    decay: Annotated[float, Field(gt=0.0, le=1.0)]
    prior: PositiveFloat


class InterpolationConfig(Config):
    """How the weights of the mixture of models are fitted on the validation split.

    Contexts are divided into ``num_confidence_levels`` classes of equal size by the confidence of each model. Every
    class has its own weights, regularized towards the overall weights by ``prior_tokens`` pseudo-counts.
    """

    max_documents: PositiveInt | None
    """None: all documents of the validation split."""
    num_confidence_levels: PositiveInt
    prior_tokens: NonNegativeFloat
    cache: CacheConfig | None
    """None: no cache in the mixture."""


class BootstrapConfig(Config):
    """Bootstrap confidence intervals: number of resamples of the test items, and confidence level."""

    num_resamples: Annotated[int, Field(ge=100, le=1_000_000)]
    confidence: Annotated[float, Field(gt=0.0, le=0.999)]


class WordNgramsConfig(Config):
    """Features from words: the ``max_features`` most frequent n-grams of 1 to ``longest`` words."""

    longest: PositiveInt
    max_features: PositiveInt


class CharacterNgramsConfig(Config):
    """Features from characters: n-grams of ``shortest`` to ``longest``, among ``max_characters`` of a text."""

    shortest: PositiveInt
    longest: PositiveInt
    max_characters: PositiveInt


class LinearConfig(Config):
    """The linear support vector machines that serve as baselines of the classifier.

    ``inverse_regularization`` lists candidates for scikit-learn's ``C``; the best on the validation split is used.
    """

    words: WordNgramsConfig
    characters: CharacterNgramsConfig
    endings: CharacterNgramsConfig
    """N-grams of the last characters of a text, and of where it ends."""
    inverse_regularization: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    max_iterations: PositiveInt


class ClassificationEvaluationConfig(Config):
    """Evaluation of the classifier and its baselines on at most ``max_documents`` test documents."""

    max_documents: PositiveInt
    linear: LinearConfig


class NeighborsConfig(Config):
    """Features for finding the training prompt that is most similar to a prompt; those that find the better completions
    on the validation split are used."""

    words: WordNgramsConfig
    characters: CharacterNgramsConfig


class CompletionEvaluationConfig(Config):
    """Evaluation of the completion model on at most ``max_documents`` test prompts, ``batch_size`` at once."""

    max_documents: PositiveInt
    batch_size: PositiveInt
    metric: Literal["chrf", "bleu", "rouge_1", "rouge_2", "rouge_l", "exact_match", "token_f1", "extraction_f1"]
    """The metric that compares models, and selects the strongest baseline on the validation split."""
    answer_separator: Annotated[str, Field(min_length=1)] | None
    """The text before the answer in completions that give reasons first, such as ``Answer:``; only what follows the
    last occurrence is compared. None: the whole completion."""
    neighbors: NeighborsConfig
    generation: GenerationConfig


class MemorizationConfig(Config):
    """Whether greedy decoding from ``prefix_tokens`` tokens of a training text gives the ``continuation_tokens`` that
    follow, for ``max_texts`` texts that occur once, and as many that occur more often."""

    prefix_tokens: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    continuation_tokens: PositiveInt
    max_texts: PositiveInt


class CanariesConfig(Config):
    """How probable the secrets of planted documents are: those of ``sources``, compared with ``num_alternatives``."""

    sources: Annotated[tuple[Name, ...], Field(min_length=1)]
    num_alternatives: PositiveInt


class BiasConfig(Config):
    """How much more probable sentences are about one group of people than about another."""

    templates: Path
    """A YAML file of sentences."""


class TyposConfig(Config):
    """How much worse the models are on ``max_documents`` test documents with typing errors at these rates."""

    rates: Annotated[tuple[Annotated[float, Field(gt=0.0, le=0.5)], ...], Field(min_length=1)]
    max_documents: PositiveInt


class ProbesConfig(Config):
    """Probes of the language model, and of the classifier; one that is None is left out."""

    memorization: MemorizationConfig | None
    canaries: CanariesConfig | None
    bias: BiasConfig | None
    typos: TyposConfig | None


class SamplesConfig(Config):
    """Prompts that the language model continues, for the report."""

    prompts: Annotated[tuple[str, ...], Field(min_length=1)]
    generation: GenerationConfig


class ReportConfig(Config):
    """Size of the report."""

    num_documents: NonNegativeInt
    """Documents shown with their tokens colored by loss."""
    max_document_tokens: PositiveInt
    """Tokens shown of each of them."""
    num_completions: NonNegativeInt
    """Completions shown next to their references."""


class EvaluateConfig(Config):
    """Evaluation of all models; ``seed`` determines the sampled test documents and resamples."""

    seed: NonNegativeInt
    contamination: HeldOutContaminationConfig
    likelihood: LikelihoodConfig
    ngram: NgramBaselineConfig
    interpolation: InterpolationConfig
    bootstrap: BootstrapConfig
    classification: ClassificationEvaluationConfig
    completion: CompletionEvaluationConfig
    probes: ProbesConfig
    prompts: PromptsConfig | None
    """Prompts that are compared on the language model; None compares none."""
    samples: SamplesConfig
    report: ReportConfig
