"""A request to the Prefect server starts the project's flows and nothing else: it brings no command along."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.sample_project import PROJECT, Servers

ID = "8c3f9f0e-2b7a-4a8e-9a39-3f5d0e6c1b27"
PLAIN_TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "env": "{{ env }}", "working_dir": "{{ working_dir }}"},
    "variables": {
        "properties": {"command": {"type": "string", "default": None}, "env": {"default": {}}, "working_dir": {}}
    },
}
STEP = "prefect.deployments.steps.set_working_directory"


def template(**job: Any) -> dict[str, Any]:
    return {**PLAIN_TEMPLATE, "job_configuration": {**PLAIN_TEMPLATE["job_configuration"], **job}}


COMMANDS: list[tuple[str, str, Any]] = [
    ("POST", f"/deployments/{ID}/create_flow_run", {"job_variables": {"command": "id > /tmp/file"}}),
    ("POST", f"/deployments/{ID}/create_flow_run", {"job_variables": {"env": {"PYTHONPATH": "/tmp"}}}),
    ("POST", f"/deployments/{ID}/create_flow_run", {"job_variables": {"env.PYTHONPATH": "/tmp"}}),
    ("POST", f"/deployments/{ID}/create_flow_run", {"job_variables": {"working_dir": "/tmp"}}),
    ("POST", f"/deployments/{ID}/create_flow_run", {"job_variables": {"image": "attacker/image"}}),
    ("POST", f"/deployments/{ID}/create_flow_run/bulk", [{"job_variables": {"command": "id"}}]),
    ("POST", "/flow_runs/", {"flow_id": ID, "job_variables": {"command": "id"}}),
    ("PATCH", f"/flow_runs/{ID}", {"job_variables": {"command": "id"}}),
    ("POST", "/deployments/", {"name": "x", "flow_id": ID, "job_variables": {"command": "id"}}),
    ("POST", "/deployments/", {"name": "x", "flow_id": ID, "entrypoint": "os.system"}),
    ("POST", "/deployments/", {"name": "x", "flow_id": ID, "entrypoint": "flows.runtime.processes.run_in_session"}),
    ("POST", "/deployments/", {"name": "x", "flow_id": ID, "entrypoint": ["flows.pipeline.pipeline"]}),
    ("POST", "/deployments/", {"name": "x", "flow_id": ID, "entrypoint": "/tmp/file.py:flow"}),
    ("POST", "/deployments/", {"name": "x", "flow_id": ID, "entrypoint": "../flows/file.py:flow"}),
    ("PATCH", f"/deployments/{ID}", {"entrypoint": "flows.pipeline.pipeline\nos.system"}),
    ("PATCH", f"/deployments/{ID}", {"path": "/tmp"}),
    ("PATCH", f"/deployments/{ID}", {"pull_steps": [{"prefect.deployments.steps.run_shell_script": {"script": "id"}}]}),
    ("PATCH", f"/deployments/{ID}", {"pull_steps": [{STEP: {"directory": "/tmp"}}]}),
    ("PATCH", f"/deployments/{ID}", {"pull_steps": [{STEP: {"directory": str(PROJECT), "requires": "attacker"}}]}),
    ("PATCH", f"/deployments/{ID}", {"pull_steps": {STEP: {"directory": "/tmp"}}}),
    ("POST", "/deployments/", {"name": "x", "flow_id": ID, "storage_document_id": ID}),
    ("POST", "/work_pools/", {"name": "x", "type": "process", "base_job_template": template(command="id")}),
    ("POST", "/work_pools/", {"name": "x", "type": "process", "base_job_template": template(command="{{ name }}")}),
    (
        "PATCH",
        "/work_pools/lmcore",
        {"storage_configuration": {"bundle_execution_step": {"os": {"requires": "attacker"}}}},
    ),
    ("PATCH", "/work_pools/lmcore", {"base_job_template": template(env={"LD_PRELOAD": "/tmp/file.so"})}),
    (
        "PATCH",
        "/work_pools/lmcore",
        {"base_job_template": {"variables": {"properties": {"command": {"default": "id"}}}}},
    ),
    (
        "POST",
        "/automations/",
        {"name": "x", "actions": [{"type": "run-deployment", "job_variables": {"command": "x"}}]},
    ),
]


def answer(servers: Servers, method: str, path: str, body: bytes) -> tuple[int, str]:
    request = Request(f"{servers.prefect}/api{path}", body, {"Content-Type": "application/json"}, method=method)
    try:
        with urlopen(request, timeout=30) as found:
            return found.status, found.read().decode()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@pytest.mark.parametrize(("method", "path", "body"), COMMANDS)
def test_a_command_in_a_request_is_refused(servers: Servers, method: str, path: str, body: Any) -> None:
    status, text = answer(servers, method, path, json.dumps(body).encode())
    assert status == 403
    assert text.startswith("Rejected: ")
    hidden = json.dumps(body).replace("job_variables", "job\\u005fvariables").encode("utf-16")
    assert answer(servers, method, path, hidden)[0] == 403


def test_what_prefect_itself_sends_is_taken(servers: Servers) -> None:
    pool = {"name": f"pool-{ID}", "type": "process", "base_job_template": PLAIN_TEMPLATE}
    assert answer(servers, "POST", "/work_pools/", json.dumps(pool).encode())[0] == 201
    flow_id = servers.ask("/flows/", {"name": "pipeline"})["id"]
    deployment = {
        "name": f"deployment-{ID}",
        "flow_id": flow_id,
        "entrypoint": "flows.pipeline.pipeline",
        "path": str(PROJECT),
        "pull_steps": [{STEP: {"directory": str(PROJECT)}}],
        "job_variables": {},
        "work_pool_name": pool["name"],
    }
    created = servers.ask("/deployments/", deployment)
    run = {"job_variables": {}, "parameters": {"job_variables": {"command": "only data"}, "path": "/tmp"}}
    assert answer(servers, "POST", f"/deployments/{created['id']}/create_flow_run", json.dumps(run).encode())[0] != 403
    for path, name in (("/deployments/", created["id"]), ("/work_pools/", pool["name"])):
        assert answer(servers, "DELETE", path + name, b"")[0] == 204
