"""The pipeline as Prefect deploys it: what ``python -m flows.schedule`` serves and ``prefect.yaml`` names."""

from typing import TYPE_CHECKING

from prefect import flow
from prefect.runtime import flow_run

from flows.flow_runs import close_abandoned_runs, record_flow_run
from flows.logs import log_to_flow_run
from flows.pipeline import is_unchanged, new_pipeline_id, restored_outputs, run_pipeline
from flows.prefect_run import completed
from tasks.environment import Environment

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


@flow(name="pipeline", flow_run_name=new_pipeline_id, persist_result=False)
def pipeline() -> "State[None]":
    """Collect, clean, tokenize, pretrain, finetune and evaluate: each stage only if what it depends on has changed."""
    environment = Environment()
    close_abandoned_runs(environment.work_folder)
    record_flow_run(environment.work_folder, flow_run.id)
    with log_to_flow_run():
        results = run_pipeline(environment, flow_run.name)
    return completed(is_unchanged(results), restored_outputs(results))
