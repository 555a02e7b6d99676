"""Where a person sees the runs: the address of the experiment in MLflow's pages."""

import json
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tasks.context.environment import Environment
from tasks.tracking.store import EXPERIMENT

ANSWER_SECONDS = 2.0


def experiment_page(environment: Environment) -> str | None:
    """The address of the list of runs; None where no server shows it."""
    server = environment.mlflow_tracking_uri.rstrip("/")
    if not server.startswith(("http://", "https://")):
        return None
    query = urlencode({"experiment_name": EXPERIMENT})
    try:
        with urlopen(f"{server}/api/2.0/mlflow/experiments/get-by-name?{query}", timeout=ANSWER_SECONDS) as answer:
            experiment_id = json.load(answer)["experiment"]["experiment_id"]
    except (URLError, TimeoutError, ValueError, KeyError):
        return server  # nothing has been tracked yet, or only those who log in may see it
    # Without its workflow named, the page shows that of language-model applications.
    return f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
