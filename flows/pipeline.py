"""All stages in order, on what the sources hold now, each only if something it depends on has changed.

Run: ``python -m flows.pipeline``.
"""

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from flows.refresh import refresh
from flows.runtime.commands import run_command
from flows.runtime.prefect_run import current_task_run, run_as_flow, run_as_task
from flows.runtime.stage_graph import StageGraph, StageResult, bring_up_to_date
from flows.runtime.summary import show_summary
from tasks.context.environment import Environment
from tasks.context.exclusive import exclusive
from tasks.context.parameters import Parameters, load_parameters
from tasks.context.process import ProcessIdentity
from tasks.step import call_through, is_inside_flow_run
from tasks.tracking import catch_up

logger = logging.getLogger("flows.pipeline")  # also where this file is run as a command

PARAMETERS = Path("params.yaml")
OUTCOMES = {"ran": "done", "restored": "restored", "cached": "unchanged"}
WAITING = "Another pipeline is running in this folder; waiting for it to finish"


def run_pipeline(environment: Environment, pipeline_id: str) -> list[StageResult]:
    """Bring every stage up to date; inside a Prefect flow run each stage is a task run of it.

    Raises:
        UserError: if ``params.yaml`` has errors; nothing has been started then.
        ShownError: if a stage fails; those after it have not been started.
    """
    parameters = load_parameters(PARAMETERS)
    with exclusive(environment.work_folder / "pipeline.lock", WAITING):
        graph = StageGraph()  # first: it waits for other DVC processes, whose stages read what a refresh would change
        names = graph.names()
        _refresh(parameters, environment)
        results = [_run_stage(graph, name, environment, pipeline_id) for name in names]
        catch_up(environment)
    if is_unchanged(results):
        logger.info("Nothing has changed: every stage is as its last run left it")
    return results


def new_pipeline_id() -> str:
    """A name for one execution of the pipeline, by which its runs are found in Prefect and in MLflow."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {uuid.uuid4().hex[:4]}"


def is_unchanged(results: list[StageResult]) -> bool:
    """Whether every output is as it was."""
    return all(result.is_cached for result in results)


def restored_outputs(results: list[StageResult]) -> str:
    """Which outputs were exchanged for others from DVC's cache, in words; empty if none was."""
    return "; ".join(f"{result.name} {result.note}" for result in results if result.note)


def _refresh(parameters: Parameters, environment: Environment) -> None:
    def work() -> list[str]:
        return refresh(parameters, environment)

    if not is_inside_flow_run():
        work()
    else:
        call_through(lambda call: run_as_task(call, name="refresh", is_cached=lambda changes: not changes), work)


def _run_stage(graph: StageGraph, name: str, environment: Environment, pipeline_id: str) -> StageResult:
    def work() -> StageResult:
        variables = {
            "LMCORE_PIPELINE_ID": pipeline_id,
            "LMCORE_PIPELINE_PROCESS": ProcessIdentity.current().to_text(),
            **current_task_run(),
        }
        result = bring_up_to_date(graph, name, environment, variables)
        logger.info("%s: %s (%.1f s)", name, OUTCOMES[result.state], result.seconds)
        for output in result.restored:
            logger.info("%s: from DVC's cache: %s", name, output)
        return result

    if not is_inside_flow_run():
        return work()

    def as_task(call: Callable[[], StageResult]) -> None:
        run_as_task(call, name=name, is_cached=lambda result: result.is_cached, note=lambda result: result.note)

    return call_through(as_task, work)


def _run(environment: Environment) -> list[StageResult]:
    pipeline_id = new_pipeline_id()

    def work() -> list[StageResult]:
        return run_pipeline(environment, pipeline_id)

    def as_flow(call: Callable[[], list[StageResult]]) -> None:
        run_as_flow(
            call,
            name="pipeline",
            run_name=pipeline_id,
            parameters=load_parameters(PARAMETERS).model_dump(mode="json"),
            is_cached=is_unchanged,
            note=restored_outputs,
            api_url=str(api_url),
            environment=environment,
        )

    if (api_url := environment.prefect_api_url) is None:
        logger.info("No Prefect server answers, so it will not show this run; `make up` starts one")
        return work()
    return call_through(as_flow, work)


def run_and_show() -> None:
    """Run everything that is not up to date and show what came out."""
    environment = Environment()
    load_parameters(PARAMETERS)  # an error there is no reason to open a run
    show_summary(_run(environment), environment)


def main() -> None:
    """The command line."""
    run_command("pipeline", run_and_show)


if __name__ == "__main__":
    main()
