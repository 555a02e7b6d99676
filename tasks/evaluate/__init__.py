"""Measures the trained models on held-out documents, beside baselines; writes figures, samples and a report.

Every step leaves what it found as JSON in the folder of the report; the last ones gather it.
"""

from tasks.evaluate.classifier import evaluate_classifier
from tasks.evaluate.completion import evaluate_completion
from tasks.evaluate.contamination import compare_with_training
from tasks.evaluate.language_model import evaluate_language_model
from tasks.evaluate.report import ReportInputs, track_evaluation, write_metrics, write_report
from tasks.evaluate.samples import generate_samples

__all__ = [
    "ReportInputs",
    "compare_with_training",
    "evaluate_classifier",
    "evaluate_completion",
    "evaluate_language_model",
    "generate_samples",
    "track_evaluation",
    "write_metrics",
    "write_report",
]
