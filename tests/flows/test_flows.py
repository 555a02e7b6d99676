"""The stages of ``dvc.yaml`` are commands of this package, each of which runs one Prefect flow of the same name."""

import ast
import importlib
import inspect
import logging
from pathlib import Path
from typing import Any

import prefect
import pytest
from ruamel.yaml import YAML

import flows
from flows import paths, pipeline, schedule
from flows.pipeline import new_pipeline_id
from flows.runtime.stage_graph import StageResult
from flows.schedule import run_schedule
from tasks.context.environment import Environment
from tasks.context.parameters import Parameters, load_parameters
from tasks.context.prefect import Task
from tasks.context.process import ProcessIdentity
from tests.sample_project import PROJECT

GRAPH = YAML(typ="safe").load(PROJECT / "dvc.yaml")["stages"]
stages = pytest.mark.parametrize("stage", GRAPH)


def test_the_stages_that_restart_with_the_settings_of_a_computing_process_are_those_of_the_graph() -> None:
    assert list(flows.STAGES) == list(GRAPH)


@pytest.mark.parametrize("stage", ["collect", "clean", "tokenize", "pretrain", "finetune", "evaluate", "pipeline"])
def test_every_stage_and_the_pipeline_are_flows_of_prefect(stage: str) -> None:
    found = getattr(importlib.import_module(f"flows.{stage}"), stage)
    assert isinstance(found, prefect.Flow)
    assert found.name == stage
    assert found.description


@stages
def test_the_command_of_a_stage_runs_the_flow_of_its_module(stage: str) -> None:
    assert GRAPH[stage]["cmd"] == f"python -m flows.{stage}"
    source = (PROJECT / "flows" / f"{stage}.py").read_text(encoding="utf-8")
    assert ast.unparse(ast.parse(source).body[-1]) == f"if __name__ == '__main__':\n    run_stage({stage})"


@stages
def test_a_stage_takes_the_parameters_and_the_environment_and_nothing_else(stage: str) -> None:
    flow = getattr(importlib.import_module(f"flows.{stage}"), stage)
    arguments = inspect.signature(flow.fn).parameters.values()
    assert [argument.annotation for argument in arguments] == [Parameters, Environment]
    assert inspect.signature(flow.fn).return_annotation is None


@stages
def test_all_that_a_stage_calls_of_the_tasks_is_a_task_or_a_check(stage: str) -> None:
    """Only tasks appear in Prefect; what checks a file before any work needs no task."""
    module = importlib.import_module(f"flows.{stage}")
    functions = {
        name: value for name, value in vars(module).items() if getattr(value, "__module__", "").startswith("tasks.")
    }
    called = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(inspect.getsource(getattr(module, stage).fn)))
        if isinstance(node, ast.Call)
    } & functions.keys()
    no_tasks = {name for name in called if not isinstance(functions[name], Task)}
    assert called > no_tasks
    assert no_tasks <= {"check_named_files", "read_lock", "BaseModels", "ReportInputs", "FinetuneFiles"}


@stages
def test_a_stage_writes_the_outputs_and_reads_the_inputs_that_dvc_knows(stage: str) -> None:
    """The constants of ``flows.paths`` that a module uses are the stage's dependencies and outputs in ``dvc.yaml``."""
    tree = ast.parse((PROJECT / "flows" / f"{stage}.py").read_text(encoding="utf-8"))
    (names,) = (node.names for node in ast.walk(tree) if getattr(node, "module", None) == "flows.paths")
    used = {str(getattr(paths, alias.name)) for alias in names}
    outputs = {path_of(out) for key in ("outs", "metrics") for out in GRAPH[stage].get(key, [])}
    data = {path for path in GRAPH[stage]["deps"] if path.startswith(("data/", "models/", "reports/"))}
    assert outputs <= used
    assert used - outputs - {str(paths.LOCK)} == data


def path_of(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))


def test_finetune_trains_what_is_configured_and_says_why_a_model_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = importlib.import_module("flows.finetune")
    written = {}
    monkeypatch.setattr(module, "check_named_files", lambda *_, **__: ())
    monkeypatch.setattr(module, "FINETUNED_MODELS", tmp_path / "models")
    monkeypatch.setattr(module, "FINETUNE_CURVES", tmp_path / "curves")
    monkeypatch.setattr(module, "finetune_classifier", lambda *_: "no document has a label")
    monkeypatch.setattr(module, "finetune_completion", lambda *_: None)
    monkeypatch.setattr(module, "write_summary", lambda path, reasons: written.update({path.name: reasons}))
    (tmp_path / "models" / "completion").mkdir(parents=True)
    module.finetune.fn(load_parameters(PROJECT / "params.yaml"), Environment())
    assert written == {"summary.json": {"classifier": "no document has a label"}}
    assert "classifier is not trained: no document has a label" in caplog.text
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["curves", "models"], "old models are removed"


def test_a_schedule_that_a_signal_stops_ends_with_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    served = []
    monkeypatch.setattr(Environment, "prefect_api_url", "http://127.0.0.1:1/api")
    monkeypatch.setattr(schedule, "report_to", lambda url: served.append(url))
    monkeypatch.setattr(
        schedule, "serve", lambda flow, cron, timezone: served.append((flow.name, cron, timezone)) or 15
    )
    monkeypatch.setenv("LMCORE_SCHEDULE_CRON", "0 5 * * *")
    with pytest.raises(SystemExit) as caught:
        run_schedule()
    assert caught.value.code == 128 + 15
    assert served == ["http://127.0.0.1:1/api", ("pipeline", "0 5 * * *", "UTC")]


def test_the_names_of_pipeline_runs_differ_also_within_a_second() -> None:
    assert new_pipeline_id() != new_pipeline_id()


@pytest.mark.parametrize("state", ["ran", "restored", "cached"])
def test_the_pipeline_passes_on_the_state_of_a_stage(
    state: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    restored = ("clean.txt was missing and has been restored",) if state == "restored" else ()
    given = {}

    def bring_up_to_date(graph: object, name: str, environment: object, variables: dict[str, str]) -> StageResult:
        given.update(variables)
        return StageResult(name, state, 1.0, None, restored)

    monkeypatch.setattr(pipeline, "bring_up_to_date", bring_up_to_date)
    with caplog.at_level(logging.INFO):
        found = pipeline.update_stage.fn(None, "clean", Environment(), "an id")
    assert found.name == {"ran": "Completed", "restored": "Restored", "cached": "Cached"}[state]
    assert (given["LMCORE_PIPELINE_ID"], Environment().pipeline_process) == ("an id", None)
    monkeypatch.setenv("LMCORE_PIPELINE_PROCESS", given["LMCORE_PIPELINE_PROCESS"])
    assert Environment().pipeline_process == ProcessIdentity.current()
    assert all(f"from DVC's cache: {note}" in caplog.text for note in restored)
