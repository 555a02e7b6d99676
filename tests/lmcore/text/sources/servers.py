"""Servers on this machine that fail as asked: one for files, one that speaks the language of the Hugging Face hub."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Headers = dict[str, str]
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Fails:
    """One request is answered by a status."""

    status: int
    headers: Headers = field(default_factory=dict)


@dataclass(frozen=True)
class Breaks:
    """One request breaks off after some bytes of the body."""

    after: int


@dataclass(frozen=True)
class Waits:
    """One request is answered late."""

    seconds: float


@dataclass
class File:
    """What the server has at a path; ``failures`` are used up by the requests, one each.

    Without a length it comes in chunks, the last of which says that it is the last.
    """

    content: bytes
    etag: str | None = None
    last_modified: str | None = None
    has_ranges: bool = True
    has_length: bool = True
    heeds_if_range: bool = True
    longest_part: int | None = None
    failures: list[Fails | Breaks | Waits] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """A request as it came in, and the status of its answer."""

    method: str
    path: str
    query: str
    headers: Headers
    status: int
    n_bytes: int


class FileServer:
    """Files by path, and every request that was made."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, File] = {}
        self.redirects: dict[str, str] = {}
        self.requests: list[Request] = []

    def url(self, path: str) -> str:
        return f"{self.address}{path}"

    def clear(self) -> None:
        self.files.clear()
        self.redirects.clear()
        self.requests.clear()

    def answer(self, handler: "Handler") -> None:
        path = unquote(urlsplit(handler.path).path)
        if path in self.redirects:
            handler.reply(302, {"Location": self.redirects[path]})
        elif path in self.files:
            handler.send_file(self.files[path], {})
        else:
            handler.reply(404)


@dataclass
class DataSet:
    """A data set of the hub: its files at one revision."""

    revision: str
    files: dict[str, File]


class Hub(FileServer):
    """The part of the hub's interface that ``datasets`` and ``huggingface_hub`` use to read a data set."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.data_sets: dict[str, DataSet] = {}

    def clear(self) -> None:
        super().clear()
        self.data_sets.clear()

    def answer(self, handler: "Handler") -> None:
        address = urlsplit(handler.path)
        path = unquote(address.path)
        if match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(handler, *match.groups())
        elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/([a-z-]+)/([^/]+)/?(.*))?", path):
            self._describe(handler, match[1], match[2] or "revision", match[3], match[4] or "", parse_qs(address.query))
        else:
            handler.reply(404)

    def _resolve(self, handler: "Handler", name: str, revision: str, path: str) -> None:
        data_set = self._find(handler, name, revision)
        if data_set is None:
            return
        commit = {"X-Repo-Commit": data_set.revision}
        file = data_set.files.get(path)
        if file is None:
            handler.reply(404, {"X-Error-Code": "EntryNotFound", **commit})
            return
        file.etag = f'"{_blob_id(file)}"'
        handler.send_file(file, commit)

    def _describe(
        self, handler: "Handler", name: str, what: str, revision: str | None, folder: str, query: Any
    ) -> None:
        data_set = self._find(handler, name, revision)
        if data_set is None:
            return
        if what == "revision":
            siblings = [{"rfilename": path} for path in data_set.files]
            handler.reply_json({"_id": "1", "id": name, "sha": data_set.revision, "siblings": siblings})
        elif what == "tree":
            is_recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            handler.reply_json(_tree(data_set, folder, is_recursive))
        elif what == "paths-info":
            asked = parse_qs(handler.body.decode()).get("paths", [])
            if handler.headers.get("Content-Type", "").startswith("application/json"):
                asked = json.loads(handler.body)["paths"]
            handler.reply_json([_entry(path, data_set.files[path]) for path in asked if path in data_set.files])
        else:
            handler.reply(404)

    def _find(self, handler: "Handler", name: str, revision: str | None) -> DataSet | None:
        data_set = self.data_sets.get(name)
        if data_set is None:
            handler.reply(404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in (None, data_set.revision):
            handler.reply(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return data_set
        return None


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's ``site`` says."""

    protocol_version = "HTTP/1.1"
    server: "_Server"
    body = b""

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.site.answer(self)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def send_file(self, file: File, headers: Headers) -> None:
        failure = file.failures.pop(0) if file.failures else None
        if isinstance(failure, Fails):
            self.reply(failure.status, failure.headers)
            return
        if isinstance(failure, Waits):
            time.sleep(failure.seconds)
        for name, value in (("ETag", file.etag), ("Last-Modified", file.last_modified)):
            headers = {**headers, name: value} if value else headers
        asked = (self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since"))
        if {file.etag, file.last_modified} & set(asked) - {None}:
            self.reply(304, headers)
            return
        start, end = self._range(file)
        if start >= len(file.content) and start:
            self.reply(416, {"Content-Range": f"bytes */{len(file.content)}"})
            return
        if (start, end) != (0, len(file.content)):
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{len(file.content)}"}
        status = 206 if "Content-Range" in headers else 200
        after = failure.after if isinstance(failure, Breaks) else None
        self.reply(status, headers, file.content[start:end], has_length=file.has_length, break_after=after)

    def _range(self, file: File) -> tuple[int, int]:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        mark = self.headers.get("If-Range")
        is_same = not file.heeds_if_range or mark in (None, file.etag, file.last_modified)
        if not match or not file.has_ranges or not is_same:
            return 0, len(file.content)
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else len(file.content), len(file.content))
        return start, end if file.longest_part is None else min(end, start + file.longest_part)

    def reply_json(self, value: Any) -> None:
        self.reply(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def reply(
        self,
        status: int,
        headers: Headers | None = None,
        content: bytes = b"",
        *,
        has_length: bool = True,
        break_after: int | None = None,
    ) -> None:
        sent = content if break_after is None else content[:break_after]
        sent = b"" if self.command == "HEAD" else sent
        address = urlsplit(self.path)
        self.server.site.requests.append(
            Request(self.command, unquote(address.path), address.query, dict(self.headers), status, len(sent))
        )
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if has_length:
            self.send_header("Content-Length", str(len(content)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        if break_after is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if has_length or self.command == "HEAD":
            self.wfile.write(sent)
            return
        for start in range(0, len(sent), CHUNK_BYTES):
            chunk = sent[start : start + CHUNK_BYTES]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if break_after is None:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    site: FileServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is none."""


@contextmanager
def serving(kind: type[FileServer] = FileServer) -> Iterator[Any]:
    """A server on a free port of this machine."""
    with _Server(("127.0.0.1", 0), Handler) as server:
        server.site = kind(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.site
        finally:
            server.shutdown()
            thread.join()


def _tree(data_set: DataSet, folder: str, is_recursive: bool) -> list[dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    for path, file in sorted(data_set.files.items()):
        if folder and not path.startswith(f"{folder}/"):
            continue
        inner = path[len(folder) + 1 if folder else 0 :].split("/")
        for depth in range(1, len(inner)):
            above = "/".join([*filter(None, [folder]), *inner[:depth]])
            if is_recursive or depth == 1:
                entries[above] = {"type": "directory", "path": above, "oid": "0" * 40, "size": 0}
        if is_recursive or len(inner) == 1:
            entries[path] = _entry(path, file)
    return list(entries.values())


def _entry(path: str, file: File) -> dict[str, Any]:
    return {"type": "file", "path": path, "oid": _blob_id(file), "size": len(file.content)}


def _blob_id(file: File) -> str:
    """As git names a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(file.content) + file.content).hexdigest()
