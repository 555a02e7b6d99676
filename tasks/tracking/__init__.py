"""What happened: one MLflow row per trained model, with everything needed to judge it and to get it back.

The only package that imports MLflow, and only once a stage really tracks something (the import takes seconds).

* :func:`model_run` opens the row while a model trains, or continues the row of an interrupted training;
* :func:`log_evaluation` finds the row of a finished model by the model's content and adds how good it is.
"""

from tasks.tracking.evaluation import log_evaluation
from tasks.tracking.run import ModelRun, model_run

__all__ = ["ModelRun", "log_evaluation", "model_run"]
