"""Small settings that the tests of the report and of the tasks share."""

from pathlib import Path

from lmcore.config.evaluate import EvaluateConfig

GENERATION = {
    "max_new_tokens": 8,
    "num_beams": 1,
    "do_sample": True,
    "temperature": 1.0,
    "top_k": None,
    "top_p": None,
    "min_p": None,
    "seed": 0,
    "length_penalty": None,
    "repetition_penalty": 1.0,
    "stop_strings": (),
    "stop_token_ids": (),
}
TEMPLATES = Path(__file__).parents[3] / "prompts/bias.yaml"
CACHE = {"order": 2, "num_tokens": 20, "decay": 0.9, "prior": 2.0}
CONFIG = EvaluateConfig.model_validate(
    {
        "seed": 0,
        "bootstrap": {"num_resamples": 100, "confidence": 0.95},
        "contamination": {"ngram_words": 5},
        "likelihood": {
            "max_documents": 10,
            "context": "document",
            "max_masked_documents": 8,
            "max_masked_tokens": 4,
            "window_stride_tokens": 8,
            "batch_tokens": 64,
        },
        "ngram": {"order": 5},
        "interpolation": {"max_documents": 10, "num_confidence_levels": 2, "prior_tokens": 1.0, "cache": CACHE},
        "classification": {
            "max_documents": 10,
            "linear": {
                "words": {"longest": 1, "max_features": 100},
                "characters": {"shortest": 2, "longest": 3, "max_characters": 1000},
                "endings": {"shortest": 1, "longest": 3, "max_characters": 10},
                "inverse_regularization": (1.0, 10.0),
                "max_iterations": 1000,
            },
        },
        "completion": {
            "max_documents": 10,
            "batch_size": 2,
            "metric": "chrf",
            "answer_separator": None,
            "neighbors": {
                "words": {"longest": 1, "max_features": 100},
                "characters": {"shortest": 2, "longest": 3, "max_characters": 1000},
            },
            "generation": GENERATION,
        },
        "probes": {
            "memorization": {"prefix_tokens": (4, 8), "continuation_tokens": 4, "max_texts": 20},
            "canaries": None,
            "bias": {"templates": TEMPLATES},
            "typos": {"rates": (0.1,), "max_documents": 10},
        },
        "prompts": None,
        "samples": {"prompts": ("a",), "generation": GENERATION},
        "report": {"num_documents": 1, "max_document_tokens": 10, "num_completions": 2},
    }
)
