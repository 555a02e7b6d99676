"""Content of a report with made-up metrics, and one text of the test's choice wherever texts are shown."""

from lmcore.evaluation.probes.probe import Probe, ProbeRow
from lmcore.evaluation.report.plots import Curve
from lmcore.evaluation.report.render import CompletionPart, ModelTitle, ReportContent, Training
from lmcore.evaluation.result import Estimate, EvaluationResult
from lmcore.training.record import TrainingRecord


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def metrics(**values: float) -> dict[str, dict[str, float]]:
    """Each metric on all documents and on clean ones."""
    return {name: estimate(value) for name, value in values.items()} | {
        f"{name}_clean": estimate(value + 0.01) for name, value in values.items()
    }


def likelihood(value: float) -> dict[str, dict[str, float]]:
    return metrics(bits_per_byte=value, perplexity=10 * value)


SIZES = {"n_documents": 10, "n_documents_clean": 8, "n_tokens": 100, "n_bytes": 400}
CAUSAL = {
    "kind": "causal",
    "is_whole_split_seen": False,
    "names": {
        "model": "GPT",
        "ngram": "5-gram",
        "interpolation": "GPT + 5-gram",
        "ngram_on_seen_tokens": "5-gram on the same tokens",
    },
    "metrics": {
        "model": likelihood(1.2),
        "ngram": likelihood(1.3),
        "interpolation": likelihood(1.1),
        "ngram_on_seen_tokens": likelihood(1.4),
        "differences": {
            "interpolation_minus_model": metrics(bits_per_byte=-0.5),
            "interpolation_minus_ngram": metrics(bits_per_byte=-0.4),
            "model_minus_ngram_on_seen_tokens": metrics(bits_per_byte=0.05),
            "model_minus_ngram": metrics(bits_per_byte=0.3),
        },
        **SIZES,
    },
    "interpolation": {"weights": [[0.2, None], [0.7, 0.9]], "fractions": [[0.3, 0.0], [0.3, 0.4]]},
}
NGRAM = {
    "kind": "causal",
    "is_whole_split_seen": True,
    "names": {"model": "5-gram", "shorter_ngram": "4-gram", "interpolation": "5-gram + cache"},
    "metrics": {
        "model": likelihood(1.2),
        "shorter_ngram": likelihood(1.3),
        "differences": {"model_minus_shorter_ngram": metrics(bits_per_byte=-0.5)},
        **SIZES,
    },
    "interpolation": None,
    "documents": [],
}
MASKED = {
    "kind": "masked",
    "names": {"model": "BERT", "unigram": "token frequencies"},
    "metrics": {
        "model": metrics(pseudo_bits_per_byte=1.0, pseudo_perplexity=30.0),
        "unigram": metrics(pseudo_bits_per_byte=3.0, pseudo_perplexity=300.0),
        "differences": {"model_minus_unigram": metrics(pseudo_bits_per_byte=-2.0)},
        "n_predicted_tokens": 70,
        **SIZES,
    },
}
ENCODER_DECODER = {
    "kind": "encoder_decoder",
    "names": {"model": "encoder-decoder", "unigram": "token frequencies"},
    "metrics": {
        "model": metrics(bits_per_masked_token=5.0, bits_per_target_token=1.0),
        "unigram": metrics(bits_per_masked_token=9.0, bits_per_target_token=8.0),
        "differences": {"model_minus_unigram": metrics(bits_per_masked_token=-4.0, bits_per_target_token=-7.0)},
        "n_masked_tokens": 70,
        **SIZES,
    },
}


def completion(text: str) -> EvaluationResult:
    overlap = metrics(bleu=20.0, chrf=20.0, exact_match=0.2, length_ratio=1.1)
    row = {"id": "0", "prompt": text, "reference": text, "model": text, "nearest_neighbor": ""}
    return EvaluationResult.from_json(
        {
            "names": {
                "model": "fine-tuned GPT",
                "nearest_neighbor": "nearest prompt",
                "first_sentence": "first sentence",
            },
            "metrics": {
                "model": overlap,
                "nearest_neighbor": overlap,
                "first_sentence": overlap,
                "differences": {
                    "model_minus_nearest_neighbor": overlap | {"chrf_clean": estimate(-0.3) | {"p_value": 0.0002}},
                    "model_minus_first_sentence": overlap,
                },
                **SIZES,
            },
            "headline": "chrf",
            "strongest_baseline": "nearest_neighbor",
            "signatures": {"bleu": text},
            "completions": [row],
        }
    )


def content(text: str) -> ReportContent:
    class_metrics = metrics(accuracy=0.5, macro_f1=0.4)
    quality = metrics(log_loss=0.9, calibration_error=0.1)
    bins = [{"n_documents": 9, "confidence": 0.8, "accuracy": estimate(0.7)}]
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
    spans = [{"text": text, "bits": {"model": 3, "ngram": 5}}]
    return ReportContent(
        model=ModelTitle("GPT", "GPT, 1 k parameters", f"{text} (8 documents, 30 tokens), 10 steps"),
        contamination={
            "ngram_words": 13,
            "validation": {"n_documents": 5, "n_clean": 5, "n_compared_as_a_whole": 0, "shared_words": 0.0},
            "test": {"n_documents": 10, "n_clean": 8, "n_compared_as_a_whole": 1, "shared_words": 0.1},
        },
        language_model=EvaluationResult.from_json(CAUSAL | {"documents": [{"id": "0", "title": text, "spans": spans}]}),
        classifier=EvaluationResult.from_json(
            {
                "names": {
                    "model": "fine-tuned GPT",
                    "bag_of_words": "words, linear",
                    "character_ngrams": "characters, linear",
                    "majority_class": "most frequent class (majority baseline)",
                    "uncalibrated": "without its temperature",
                },
                "strongest_baseline": "character_ngrams",
                "temperature": 1.5,
                "reliability": {"model": bins, "uncalibrated": bins},
                "metrics": {
                    "model": class_metrics | metrics(auroc=0.9) | quality,
                    "uncalibrated": quality,
                    "bag_of_words": class_metrics,
                    "character_ngrams": class_metrics,
                    "majority_class": class_metrics,
                    "differences": {
                        "model_minus_bag_of_words": metrics(accuracy=0.2),
                        "model_minus_character_ngrams": metrics(accuracy=-0.3),
                        "model_minus_majority_class": metrics(accuracy=0.3),
                        "model_minus_uncalibrated": metrics(log_loss=-0.4, calibration_error=-0.4),
                    },
                    "n_training_examples": 50,
                    "n_untrained_classes": 1,
                    "n_documents_of_untrained_classes": 2,
                    **SIZES,
                },
                "labels": [text, "numpy", "rare"],
                "n_trained_labels": 2,
                "untrained_labels": ["rare"],
                "confusion": [[3, 1, 0], [0, 0, 0], [1, 1, 0]],
            }
        ),
        completions=[CompletionPart("completion", "Completion", f"Completes {text}.", completion(text))],
        probes=[
            Probe(
                "memorization",
                "Memorization",
                f"Decoding {text}.",
                "reproduced texts",
                "fraction",
                ("prefix", "occurs"),
                [ProbeRow(("16 tokens", text), 100, Estimate(0.02, 0.0, 0.07))],
            )
        ],
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
