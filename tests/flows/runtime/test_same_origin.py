"""No page of another site reaches the servers: neither by a request it forges, nor from a browser."""

import http.client
import http.server
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.sample_project import Servers, plain_environment, wait_until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LIST_ROUTES = """
import json
from mlflow.server import app as pages
from mlflow.server.fastapi_app import app
routes = {(method, rule.rule) for rule in pages.url_map.iter_rules() for method in rule.methods}
routes |= {(method, route.path) for route in app.routes for method in getattr(route, "methods", None) or ()}
print(json.dumps(sorted(routes)))
"""


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def forged(url: str) -> list[dict[str, str]]:
    """What a browser sends when a page of another site asks it to; a page on another port is one, too."""
    host = urlsplit(url).netloc
    other_port = f"http://127.0.0.1:{port_of(url) + 1}"
    return [
        {"Host": "attacker.example"},
        {"Host": f"attacker.example:{port_of(url)}", "Origin": f"http://attacker.example:{port_of(url)}"},
        {"Host": f"127.0.0.1:{port_of(url) + 1}"},
        {"Host": "127.0.0.1.attacker.example"},
        {"Host": host, "Origin": "http://attacker.example"},
        {"Host": host, "Origin": other_port},
        {"Host": host, "Origin": f"https://{host}"},
        {"Host": host, "Origin": f"http://localhost:{port_of(url)}"},
        {"Host": host, "Origin": "null"},
        {"Host": host, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
        {"Host": host, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ]


@contextmanager
def connected(url: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(url), timeout=30)
    yield connection
    connection.close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], body: str = "{}"
) -> tuple[int, dict[str, str]]:
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | headers).items():
        connection.putheader(name, value)
    connection.endheaders(body.encode())
    answer = connection.getresponse()
    answer.read()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def prefect_routes(servers: Servers) -> list[tuple[str, str]]:
    with urlopen(f"{servers.prefect}/openapi.json", timeout=30) as answer:
        schema = json.load(answer)
    found = [(method.upper(), f"/api{path}") for path, methods in schema["paths"].items() for method in methods]
    return [*found, ("GET", "/"), ("GET", "/openapi.json"), ("GET", "/ui-settings"), ("POST", "/nowhere")]


def mlflow_routes() -> list[tuple[str, str]]:
    done = subprocess.run(
        [sys.executable, "-c", LIST_ROUTES], capture_output=True, text=True, check=True, env=plain_environment()
    )
    return [(method, path) for method, path in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.parametrize("server", ["mlflow", "prefect"])
def test_every_route_refuses_a_foreign_host_and_origin_and_preflights(servers: Servers, server: str) -> None:
    url = getattr(servers, server)
    routes = prefect_routes(servers) if server == "prefect" else mlflow_routes()
    assert len([route for route in routes if route[0] != "GET"]) > 100
    variants, answered = cycle(forged(url)), []
    with connected(url) as connection:
        for method, path in sorted({*routes, *(("OPTIONS", path) for _, path in routes)}):
            n_variants = 1 if method in ("GET", "HEAD", "OPTIONS") else 3
            preflight = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {}
            for headers in islice(variants, n_variants):
                status, answer = ask(connection, method, re.sub("[{}<>]", "", path), headers | preflight)
                if status != 403 or any(name.startswith("access-control") for name in answer):
                    answered.append((method, path, headers, status))
    assert answered[:5] == []


@pytest.mark.parametrize("server", ["mlflow", "prefect"])
def test_programs_and_the_own_page_are_answered_and_links_lead_to_the_page_only(servers: Servers, server: str) -> None:
    url = getattr(servers, server)
    path = "/api/flow_runs/filter" if server == "prefect" else "/api/2.0/mlflow/experiments/search"
    body = "{}" if server == "prefect" else '{"max_results": 1}'
    name = f"localhost:{port_of(url)}"
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    with connected(url) as connection:
        assert ask(connection, "POST", path, {}, body)[0] == 200
        assert ask(connection, "POST", path, {"Origin": url, "Sec-Fetch-Site": "same-origin"}, body)[0] == 200
        assert ask(connection, "POST", path, {"Host": name, "Origin": f"http://{name}"}, body)[0] == 200
        assert ask(connection, "GET", "/", link)[0] in (200, 307)
        assert ask(connection, "GET", "/", {})[1]["content-security-policy"] == "frame-ancestors 'self'"
        assert ask(connection, "GET", path, link)[0] == 403
        assert ask(connection, "POST", "/", link)[0] == 403


@pytest.mark.parametrize("origin", [None, "http://attacker.example", "own"])
def test_a_websocket_is_opened_for_programs_and_the_own_page_only(servers: Servers, origin: str | None) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    address = servers.prefect.replace("http:", "ws:") + "/api/events/in"
    chosen: Any = servers.prefect if origin == "own" else origin
    if origin == "http://attacker.example":
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, origin=chosen)
    else:
        connect(address, origin=chosen).close()


ATTACK = """<!doctype html><title>waiting</title><script>
async function outcome(attempt) { try { return await attempt() } catch (error) { return "refused" } }
async function attack() {
  const found = {}
  for (const [name, url, path] of TARGETS) {
    const simple = {method: "POST", body: "{}"}
    const json = {method: "POST", body: '{"name": "forged"}', headers: {"Content-Type": "application/json"}}
    found[name + " read"] = await outcome(async () => (await fetch(url + path)).status)
    found[name + " simple"] = await outcome(async () => (await fetch(url + path, simple)).status)
    found[name + " json"] = await outcome(async () => (await fetch(url + path, json)).status)
    await outcome(async () => (await fetch(url + path, {...json, mode: "no-cors"})).type)
    found[name + " websocket"] = await new Promise(resolve => {
      const socket = new WebSocket(url.replace("http", "ws") + "/api/events/in")
      socket.onopen = () => resolve("open")
      socket.onerror = () => resolve("refused")
    })
    const frame = document.createElement("iframe"), form = document.createElement("form")
    frame.name = name
    document.body.append(frame, form)
    Object.assign(form, {method: "POST", action: url + path, target: name, enctype: "text/plain"})
    form.innerHTML = `<input name='{"name": "form", "x": "' value='"}'>`
    form.submit()
  }
  setTimeout(() => fetch("/done", {method: "POST", body: JSON.stringify(found)}), 1000)
}
attack()
</script><body></body>"""


class Attacker(http.server.BaseHTTPRequestHandler):
    """A page on another port of this machine, which tries everything that a page can."""

    page = b""
    found: dict[str, Any] | None = None

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def do_POST(self) -> None:
        type(self).found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def attacker(servers: Servers) -> Iterator[str]:
    targets = [
        ("prefect", servers.prefect, "/api/flows/"),
        ("mlflow", servers.mlflow, "/ajax-api/2.0/mlflow/experiments/create"),
    ]
    Attacker.page = ATTACK.replace("TARGETS", json.dumps(targets)).encode()
    Attacker.found = None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Attacker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


def browse(address: str) -> "subprocess.Popen[bytes]":
    assert CHROMIUM is not None
    profile = tempfile.mkdtemp()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    return subprocess.Popen(
        [CHROMIUM, *options, f"--user-data-dir={profile}", "--remote-debugging-port=0", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_page_of_another_origin_changes_nothing_and_reads_nothing_in_a_real_browser(
    servers: Servers, attacker: str
) -> None:
    log = servers.work_folder / "servers" / "prefect.log"
    browser = browse(attacker)
    try:
        found = wait_until(lambda: Attacker.found, 60)
    finally:
        browser.kill()
        browser.wait()
    assert len(found) == 8
    assert set(found.values()) == {"refused"}
    assert {flow["name"] for flow in servers.ask("/flows/filter")} & {"forged", "form"} == set()
    assert "Rejected POST /api/flows/: a page of http://localhost" in log.read_text()  # the browser did send them
