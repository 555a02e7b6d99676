"""All stages in order, each only if something it depends on has changed: ``python -m flows.pipeline``."""

import logging
import uuid
from datetime import UTC, datetime
from pathlib import Path

from flows.commands import run_command
from flows.prefect_run import current_task_run, run_as_flow, run_as_task
from flows.stage_graph import StageGraph, StageResult, bring_up_to_date
from flows.summary import show_summary
from tasks.environment import Environment
from tasks.parameters import load_parameters
from tasks.process import ProcessIdentity
from tasks.step import call_through, is_inside_flow_run

logger = logging.getLogger(__name__)


def run_pipeline(environment: Environment, pipeline_id: str) -> list[StageResult]:
    """Bring every stage up to date; inside a Prefect flow run each stage is a task run of it.

    Raises:
        ValueError: if ``params.yaml`` has errors; nothing has been started then.
        RuntimeError: if a stage fails; those after it have not been started.
    """
    load_parameters(Path("params.yaml"))
    graph = StageGraph()
    return [_run_stage(graph, name, environment, pipeline_id) for name in graph.names()]


def new_pipeline_id() -> str:
    """A name for one execution of the pipeline, by which its runs are found in Prefect and in MLflow."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {uuid.uuid4().hex[:4]}"


def _run_stage(graph: StageGraph, name: str, environment: Environment, pipeline_id: str) -> StageResult:
    def work() -> StageResult:
        variables = {
            "LMCORE_PIPELINE_ID": pipeline_id,
            "LMCORE_PIPELINE_PROCESS": ProcessIdentity.current().to_text(),
            **current_task_run(),
        }
        result = bring_up_to_date(graph, name, environment, variables)
        logger.info("%s: %s (%.1f s)", name, "unchanged" if result.state == "cached" else "done", result.seconds)
        return result

    if not is_inside_flow_run():
        return work()
    return call_through(lambda call: run_as_task(call, name=name, cached=lambda result: result.state == "cached"), work)


def _run(environment: Environment) -> list[StageResult]:
    pipeline_id = new_pipeline_id()

    def work() -> list[StageResult]:
        return run_pipeline(environment, pipeline_id)

    if (api_url := environment.prefect_api_url) is None:
        logger.info("No Prefect server answers, so it will not show this run; `make up` starts one")
        return work()
    return call_through(
        lambda call: run_as_flow(
            call, name="pipeline", run_name=pipeline_id, parameters={}, api_url=api_url, environment=environment
        ),
        work,
    )


def _run_and_show() -> None:
    environment = Environment()
    show_summary(_run(environment), environment)


def main() -> None:
    """The command line."""
    run_command("pipeline", _run_and_show)


if __name__ == "__main__":
    main()
