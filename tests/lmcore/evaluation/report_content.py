"""A report's content of made-up figures, with one text of the test's choice wherever texts stand."""

from lmcore.evaluation.plots import Curve
from lmcore.evaluation.report import ModelTitle, ReportContent, Training
from lmcore.training.record import TrainingRecord


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def measures(**values: float) -> dict[str, dict[str, float]]:
    """Each measure on all documents and on clean ones."""
    return {name: figure(value) for name, value in values.items()} | {
        f"{name}_clean": figure(value + 0.01) for name, value in values.items()
    }


def likelihood(value: float) -> dict[str, dict[str, float]]:
    return measures(bits_per_byte=value, perplexity=10 * value)


SIZES = {"n_documents": 10, "n_documents_clean": 8, "n_tokens": 100, "n_bytes": 400}
CAUSAL = {
    "kind": "causal",
    "names": {
        "model": "GPT",
        "ngram": "5-gram",
        "interpolation": "GPT + 5-gram",
        "ngram_on_seen_tokens": "5-gram of the same tokens",
    },
    "figures": {
        "model": likelihood(1.2),
        "ngram": likelihood(1.3),
        "interpolation": likelihood(1.1),
        "ngram_on_seen_tokens": likelihood(1.4),
        "differences": {
            "interpolation_minus_model": measures(bits_per_byte=-0.5),
            "interpolation_minus_ngram": measures(bits_per_byte=-0.4),
            "model_minus_ngram_on_seen_tokens": measures(bits_per_byte=0.05),
            "model_minus_ngram": measures(bits_per_byte=0.3),
        },
        **SIZES,
    },
    "mixture": {"weights": [[0.2, None], [0.7, 0.9]], "shares": [[0.3, 0.0], [0.3, 0.4]]},
}
NGRAM = {
    "kind": "causal",
    "names": {"model": "5-gram", "shorter_ngram": "4-gram", "interpolation": "5-gram + cache"},
    "figures": {
        "model": likelihood(1.2),
        "shorter_ngram": likelihood(1.3),
        "differences": {"model_minus_shorter_ngram": measures(bits_per_byte=-0.5)},
        **SIZES,
    },
    "mixture": None,
    "documents": [],
}
MASKED = {
    "kind": "masked",
    "names": {"model": "BERT", "unigram": "token frequencies alone"},
    "figures": {
        "model": measures(pseudo_bits_per_byte=1.0, pseudo_perplexity=30.0),
        "unigram": measures(pseudo_bits_per_byte=3.0, pseudo_perplexity=300.0),
        "differences": {"model_minus_unigram": measures(pseudo_bits_per_byte=-2.0)},
        "n_predicted_tokens": 70,
        **SIZES,
    },
}
ENCODER_DECODER = {
    "kind": "encoder_decoder",
    "names": {"model": "encoder-decoder", "unigram": "token frequencies alone"},
    "figures": {
        "model": measures(bits_per_masked_token=5.0, bits_per_target_token=1.0),
        "unigram": measures(bits_per_masked_token=9.0, bits_per_target_token=8.0),
        "differences": {"model_minus_unigram": measures(bits_per_masked_token=-4.0, bits_per_target_token=-7.0)},
        "n_masked_tokens": 70,
        **SIZES,
    },
}


def content(text: str) -> ReportContent:
    overlap = measures(bleu=20.0, chrf=20.0, rouge_l=20.0)
    class_figures = measures(accuracy=0.5, macro_f1=0.4)
    record = TrainingRecord(
        n_parameters=1000,
        n_steps=10,
        n_batches=10,
        n_epochs=0.5,
        n_targets=5000,
        n_skipped_steps=0,
        n_rollbacks=0,
        best_step=8,
        best_validation_loss=2.5,
        precision="bfloat16",
        seed=0,
        history=[],
    )
    curves = [Curve("training", [(1, 5.0), (2, 4.0)]), Curve("validation", [])]
    pieces = [{"text": text, "bits": {"model": 3, "ngram": 5}}]
    return ReportContent(
        model=ModelTitle("GPT", "GPT, 1 k parameters", f"{text} (8 documents, 30 tokens), 10 steps"),
        contamination={
            "ngram_words": 13,
            "validation": {"n_documents": 5, "n_clean": 5, "n_compared_as_a_whole": 0, "shared_words": 0.0},
            "test": {"n_documents": 10, "n_clean": 8, "n_compared_as_a_whole": 1, "shared_words": 0.1},
        },
        language_model=CAUSAL | {"documents": [{"id": "0", "title": text, "pieces": pieces}]},
        classifier={
            "names": {
                "model": "fine-tuned GPT",
                "bag_of_words": "words, linear",
                "character_ngrams": "characters, linear",
                "majority_class": "commonest class",
            },
            "strongest_baseline": "character_ngrams",
            "figures": {
                "model": class_figures,
                "bag_of_words": class_figures,
                "character_ngrams": class_figures,
                "majority_class": class_figures,
                "differences": {
                    "model_minus_bag_of_words": measures(accuracy=0.2),
                    "model_minus_character_ngrams": measures(accuracy=-0.3),
                    "model_minus_majority_class": measures(accuracy=0.3),
                },
                "n_training_documents": 50,
                "n_untrained_classes": 1,
                "n_documents_of_untrained_classes": 2,
                **SIZES,
            },
            "labels": [text, "numpy", "rare"],
            "n_trained_labels": 2,
            "untrained_labels": ["rare"],
            "confusion": [[3, 1, 0], [0, 0, 0], [1, 1, 0]],
        },
        completion={
            "names": {"model": "fine-tuned GPT", "first_sentence": "first sentence"},
            "figures": {
                "model": overlap,
                "first_sentence": overlap,
                "differences": {"model_minus_first_sentence": overlap},
                **SIZES,
            },
            "signatures": {"bleu": text},
            "completions": [{"id": "0", "prompt": text, "reference": text, "model": text, "first_sentence": ""}],
        },
        samples=[{"prompt": text, "continuation": text}],
        trainings=[Training("Language model", record, curves, "nats per token")],
        clean_summary={
            "input": 10,
            "kept": 8,
            "dropped": 2,
            "unreadable": 3,
            "dropped_by_reason": {text: 1, "beyond_label_budget": 1},
            "bytes": 100,
            "labels": [{"label": text, "documents": 8, "bytes": 100}],
        },
        token_summary={
            "splits": {"train": {"n_documents": 8, "n_tokens": 30, "n_bytes": 100, "characters_per_token": 3.3}}
        },
        parameters={"evaluate": {"samples": {"prompts": [text]}}},
    )
