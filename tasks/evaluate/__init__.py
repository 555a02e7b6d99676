"""Evaluates the trained models and their baselines on held-out documents; writes metrics, samples and a report.

Each task writes its result as JSON into the folder of the report; the last tasks read them all.
"""

from tasks.evaluate.against_base import evaluate_against_base
from tasks.evaluate.chat import evaluate_chat_model
from tasks.evaluate.classifier import evaluate_classifier
from tasks.evaluate.completion import evaluate_completion
from tasks.evaluate.contamination import measure_contamination
from tasks.evaluate.language_model import evaluate_language_model, generate_samples
from tasks.evaluate.models import BaseModels
from tasks.evaluate.probes import probe_models
from tasks.evaluate.prompts import evaluate_prompts
from tasks.evaluate.report import ReportInputs, track_evaluation, write_metrics, write_model_cards, write_report

__all__ = [
    "BaseModels",
    "ReportInputs",
    "evaluate_against_base",
    "evaluate_chat_model",
    "evaluate_classifier",
    "evaluate_completion",
    "evaluate_language_model",
    "evaluate_prompts",
    "generate_samples",
    "measure_contamination",
    "probe_models",
    "track_evaluation",
    "write_metrics",
    "write_model_cards",
    "write_report",
]
