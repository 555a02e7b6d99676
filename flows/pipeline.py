"""Runs every stage that is not up to date, on the current content of the sources: ``python -m flows.pipeline``.

The flow :func:`pipeline` is also what ``python -m flows.schedule`` serves and ``prefect.yaml`` deploys.
"""

import logging
import uuid
from datetime import UTC, datetime

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.paths import PARAMETERS
from flows.refresh import refresh
from flows.runtime.commands import check_arguments, run_command
from flows.runtime.scheduled_run import scheduled_run
from flows.runtime.stage_graph import StageGraph, StageResult, bring_up_to_date
from flows.runtime.summary import show_summary
from tasks.context.environment import Environment
from tasks.context.exclusive import exclusive
from tasks.context.parameters import Parameters, load_parameters
from tasks.context.prefect import completed, current_task_run, flow, task
from tasks.context.process import ProcessIdentity
from tasks.tracking import catch_up

logger = logging.getLogger(__name__)

OUTCOMES = {"ran": "done", "restored": "restored", "cached": "unchanged"}
WAITING = "Another pipeline is running in this folder; waiting for it to finish"


def new_pipeline_id() -> str:
    """A name for one run of the pipeline, by which its runs are found in Prefect and in MLflow."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {uuid.uuid4().hex[:4]}"


@flow(flow_run_name=new_pipeline_id)
def pipeline() -> State[list[StageResult]]:
    """Collect, clean, tokenize, pretrain, finetune and evaluate: each stage only if what it depends on has changed.

    Raises:
        UserError: if ``params.yaml`` has errors; no stage has been started then.
        ShownError: if a stage fails; the stages after it have not been started.
    """
    environment = Environment()
    with scheduled_run(environment):
        pipeline_id = flow_run.name or new_pipeline_id()
        parameters = load_parameters(PARAMETERS)
        with exclusive(environment.work_folder / "pipeline.lock", WAITING):
            graph = StageGraph()  # first: it waits for other DVC processes, whose stages read what a refresh changes
            names = graph.names()
            refresh_sources(parameters, environment)
            results = [update_stage.named(name)(graph, name, environment, pipeline_id) for name in names]
            catch_up(environment)
        is_unchanged = all(result.is_cached for result in results)
        if is_unchanged:
            logger.info("Nothing has changed: every stage is up to date")
    note = "; ".join(f"{result.name} {result.note}" for result in results if result.note)
    return completed(results, is_cached=is_unchanged, note=note)


@task(name="refresh")
def refresh_sources(parameters: Parameters, environment: Environment) -> State[list[str]]:
    """Pin what the sources hold now."""
    changes = refresh(parameters, environment)
    return completed(changes, is_cached=not changes)


@task
def update_stage(graph: StageGraph, name: str, environment: Environment, pipeline_id: str) -> State[StageResult]:
    """Run a stage through DVC unless it is up to date."""
    variables = {
        "LMCORE_PIPELINE_ID": pipeline_id,
        "LMCORE_PIPELINE_PROCESS": ProcessIdentity.current().to_text(),
        **current_task_run(),
    }
    result = bring_up_to_date(graph, name, environment, variables)
    logger.info("%s: %s (%.1f s)", name, OUTCOMES[result.state], result.seconds)
    for output in result.restored:
        logger.info("%s: from DVC's cache: %s", name, output)
    return completed(result, is_cached=result.is_cached, note=result.note)


def run_and_show() -> None:
    """Run everything that is not up to date and show the results."""
    parameters = load_parameters(PARAMETERS)  # before a flow run is created
    results = pipeline.showing(parameters)()
    show_summary(results, Environment())


def main() -> None:
    """The command line."""
    check_arguments("flows.pipeline", "Run the stages of the pipeline that are not up to date, and show the results.")
    run_command("pipeline", run_and_show)


if __name__ == "__main__":
    main()
