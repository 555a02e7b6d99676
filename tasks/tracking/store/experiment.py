"""The experiment that holds this project's runs, and its page in the MLflow UI."""

import json
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tasks.context.environment import Environment

EXPERIMENT = "lmcore"
EXPERIMENT_NOTE = """One run per trained model; the runs of one execution have the same tag `pipeline.id` \
(group by it). Training metrics are under `train/` and `validation/`, evaluation metrics under `test/` (`versus/`: \
compared with other models, `with_interval/`: ends of the 95 % intervals); report, plots and samples are in a run's \
artifacts under `evaluation/`."""
PAGE_TIMEOUT_SECONDS = 2.0


def experiment_page(environment: Environment) -> str | None:
    """The address of the list of runs in the MLflow UI; None if no server shows it."""
    server = environment.mlflow_tracking_uri.rstrip("/")
    if not server.startswith(("http://", "https://")):
        return None
    query = urlencode({"experiment_name": EXPERIMENT})
    try:
        url = f"{server}/api/2.0/mlflow/experiments/get-by-name?{query}"
        with urlopen(url, timeout=PAGE_TIMEOUT_SECONDS) as answer:
            experiment_id = json.load(answer)["experiment"]["experiment_id"]
    except (URLError, TimeoutError, ValueError, KeyError):
        return server  # there is no experiment yet, or the server requires a login
    # Without this workflow type, the UI shows its view for LLM applications.
    return f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
