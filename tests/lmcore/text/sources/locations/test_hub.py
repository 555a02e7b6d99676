import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from lmcore.config.collect import Source
from lmcore.config.locations import Hub as HubLocation
from lmcore.text.sources.locations.locate import Located, locate
from tests.lmcore.text.sources.reader import records
from tests.lmcore.text.sources.servers import Breaks, DataSet, Fails, File, Hub, serving

REVISION = "0123456789" * 4
CARD = """---
configs:
- config_name: en
  data_files:
  - split: train
    path: english/train*.jsonl
  - split: test
    path: english/test.jsonl
- config_name: de
  data_files: german/*.jsonl
---
Two languages.
"""


def lines(name: str, n_rows: int) -> bytes:
    return "".join(json.dumps({"text": f"{name} {i} é", "meta": {"i": i}}) + "\n" for i in range(n_rows)).encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def source(**changes: Any) -> Source:
    location = {"dataset": "owner/languages", "configuration": "en", "hub_split": "train", "max_rows": None, **changes}
    return Source(
        name="rows",
        location=HubLocation(kind="hub", revision=location.pop("revision", REVISION), **location),
        reader=records(),
        split=None,
        weight=1.0,
        license=None,
        attribution=None,
    )


@dataclass
class Setting:
    """A hub, and a process whose libraries read its address when they were imported."""

    hub: Hub
    process: ProcessPoolExecutor

    def locate(self, downloads: Path, **changes: Any) -> Located:
        return self.process.submit(locate, source(**changes), downloads).result()


@contextmanager
def process(endpoint: str, home: Path) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, get_context("spawn"), prepare, (endpoint, str(home))) as pool:
        yield pool


def prepare(endpoint: str, home: str) -> None:
    os.environ |= {"HF_ENDPOINT": endpoint, "HF_HOME": home, "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    os.environ.pop("HF_HUB_OFFLINE", None)
    os.chdir(home)
    # The libraries wait up to half a minute for a server that fails.
    time.sleep = lambda seconds: None


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    with serving(Hub) as hub, process(hub.address, tmp_path_factory.mktemp("home")) as pool:
        yield Setting(hub, pool)


@pytest.fixture
def setting(served: Setting) -> Setting:
    hub = served.hub
    hub.clear()
    files = {
        "README.md": File(CARD.encode()),
        "english/train-b.jsonl": File(lines("second", 3)),
        "english/train-a.jsonl": File(lines("first", 200)),
        "english/test.jsonl": File(lines("test", 2)),
        "german/all.jsonl": File(lines("deutsch", 4)),
    }
    hub.data_sets["owner/languages"] = DataSet(REVISION, files)
    return served


def load_rows(endpoint_source: Source, cache: str) -> list[dict[str, Any]]:
    """The rows of a source as ``datasets`` itself loads them."""
    import datasets

    location = endpoint_source.location
    assert isinstance(location, HubLocation)
    rows = datasets.load_dataset(
        location.dataset,
        location.configuration,
        split=location.hub_split,
        revision=location.revision,
        cache_dir=cache,
    )
    return list(rows)


def unpack(path: Path) -> list[dict[str, Any]]:
    with zstandard.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize(("configuration", "split"), [("en", "train"), ("en", "test"), ("de", "train")])
def test_the_files_of_a_split_hold_the_rows_that_the_library_loads(
    setting: Setting, tmp_path: Path, configuration: str, split: str
) -> None:
    located = setting.locate(tmp_path, configuration=configuration, hub_split=split)
    found = [json.loads(line) for file in located.files for line in file.path.read_bytes().splitlines()]
    wanted = source(configuration=configuration, hub_split=split)
    assert found == setting.process.submit(load_rows, wanted, str(tmp_path / "reference")).result()
    assert located.revision == REVISION
    assert located.read_errors == ()


def test_files_are_named_as_in_the_data_set_and_lie_in_the_downloads(setting: Setting, tmp_path: Path) -> None:
    files = setting.locate(tmp_path).files
    assert [file.name for file in files] == ["english/train-a.jsonl", "english/train-b.jsonl"]
    for file in files:
        content = setting.hub.data_sets["owner/languages"].files[file.name].content
        assert file.path.read_bytes() == content
        assert file.size == len(content)
        assert file.path.is_relative_to(tmp_path)


def test_a_data_set_without_a_card_is_split_by_the_names_of_its_files(setting: Setting, tmp_path: Path) -> None:
    files = {f"data/train-0000{i}-of-00002.parquet": File(parquet([{"text": f"row {i}"}])) for i in range(2)}
    files["data/test-00000-of-00001.parquet"] = File(parquet([{"text": "test"}]))
    setting.hub.data_sets["owner/plain"] = DataSet(REVISION, files)
    located = setting.locate(tmp_path, dataset="owner/plain", configuration=None)
    assert [pq.read_table(file.path).to_pylist() for file in located.files] == [
        [{"text": "row 0"}],
        [{"text": "row 1"}],
    ]


@pytest.mark.parametrize("max_rows", [None, 5])
def test_what_was_downloaded_is_not_requested_again(setting: Setting, tmp_path: Path, max_rows: int | None) -> None:
    first = setting.locate(tmp_path, max_rows=max_rows)
    setting.hub.clear()
    assert setting.locate(tmp_path, max_rows=max_rows) == first
    assert setting.hub.requests == []


@pytest.mark.parametrize(("max_rows", "n_rows"), [(5, 5), (201, 201), (1_000, 203)])
def test_the_first_rows_are_those_of_the_whole_split(
    setting: Setting, tmp_path: Path, max_rows: int, n_rows: int
) -> None:
    (file,) = setting.locate(tmp_path, max_rows=max_rows).files
    whole = setting.process.submit(load_rows, source(), str(tmp_path / "reference")).result()
    assert unpack(file.path) == whole[:n_rows]
    assert file.name == "train.jsonl.zst"
    assert file.size == file.path.stat().st_size


def test_the_first_rows_are_the_same_bytes_wherever_they_are_fetched(setting: Setting, tmp_path: Path) -> None:
    contents = [setting.locate(tmp_path / name, max_rows=202).files[0].path.read_bytes() for name in ("one", "two")]
    assert contents[0] == contents[1]


def test_the_first_rows_do_not_cost_the_whole_data_set(setting: Setting, tmp_path: Path) -> None:
    names = [f"train-{i:05d}-of-00050.jsonl" for i in range(50)]
    setting.hub.data_sets["owner/large"] = DataSet(REVISION, {name: File(lines(name, 100)) for name in names})
    setting.locate(tmp_path, dataset="owner/large", configuration=None, max_rows=5)
    read = {request.path for request in setting.hub.requests if request.n_bytes and "/resolve/" in request.path}
    assert len(read) <= 2


def test_rows_keep_what_json_can_say(setting: Setting, tmp_path: Path) -> None:
    rows = [
        {"text": "one", "day": date(2024, 2, 29), "score": float("nan"), "raw": "é".encode(), "tags": [{"a": 1.5}]},
        {"text": None, "day": None, "score": 0.5, "raw": b"\xff", "tags": []},
    ]
    setting.hub.data_sets["owner/kinds"] = DataSet(REVISION, {"train.parquet": File(parquet(rows))})
    (file,) = setting.locate(tmp_path, dataset="owner/kinds", configuration=None, max_rows=9).files
    assert unpack(file.path) == [
        {"text": "one", "day": "2024-02-29", "score": None, "raw": "é", "tags": [{"a": 1.5}]},
        {"text": None, "day": None, "score": 0.5, "raw": None, "tags": []},
    ]


def test_pictures_are_not_looked_at(setting: Setting, tmp_path: Path) -> None:
    features = {"text": {"dtype": "string", "_type": "Value"}, "picture": {"_type": "Image"}}
    rows = pa.Table.from_pylist([{"text": "one", "picture": {"bytes": b"\xffno picture", "path": "a.png"}}])
    stream = io.BytesIO()
    pq.write_table(rows.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), stream)
    setting.hub.data_sets["owner/pictures"] = DataSet(REVISION, {"train.parquet": File(stream.getvalue())})
    (file,) = setting.locate(tmp_path, dataset="owner/pictures", configuration=None, max_rows=9).files
    assert unpack(file.path) == [{"text": "one", "picture": {"bytes": None, "path": "a.png"}}]


@pytest.mark.parametrize("max_rows", [None, 5])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "owner/nothing"}, r"owner/nothing.* doesn't exist"),
        ({"revision": "f" * 40}, r"owner/languages at revision f{40} .*doesn't exist"),
        ({"configuration": "fr"}, r"'fr' not found\. Available: \['en', 'de'\]"),
        ({"configuration": None}, r"pick one among the available configs: \['en', 'de'\]"),
        ({"hub_split": "dev"}, r"no split 'dev' in configuration 'en': its splits are test, train"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_what_is(
    setting: Setting, tmp_path: Path, changes: dict[str, Any], message: str, max_rows: int | None
) -> None:
    with pytest.raises(ValueError, match=f"source 'rows': .*{message}"):
        setting.locate(tmp_path, max_rows=max_rows, **changes)


def test_files_without_records_are_an_error_until_their_rows_are_streamed(setting: Setting, tmp_path: Path) -> None:
    setting.hub.data_sets["owner/text"] = DataSet(REVISION, {"train.txt": File(b"a line\nanother\n")})
    with pytest.raises(ValueError, match=r"source 'rows': 1 files .* hold no records \(train.txt\): set max_rows"):
        setting.locate(tmp_path, dataset="owner/text", configuration=None)
    (file,) = setting.locate(tmp_path, dataset="owner/text", configuration=None, max_rows=9).files
    assert unpack(file.path) == [{"text": "a line"}, {"text": "another"}]


def test_damaged_rows_leave_no_files(setting: Setting, tmp_path: Path) -> None:
    content = lines("fine", 3) + b'{"text": "cut of'
    setting.hub.data_sets["owner/damaged"] = DataSet(REVISION, {"train.jsonl": File(content)})
    with pytest.raises(ValueError, match=r"source 'rows': owner/damaged at revision"):
        setting.locate(tmp_path, dataset="owner/damaged", configuration=None, max_rows=9)
    assert not list(tmp_path.rglob("*.zst*"))


@pytest.mark.parametrize("max_rows", [None, 203])
@pytest.mark.parametrize("failures", [[Fails(500), Fails(503)], [Breaks(0), Breaks(500)], [Breaks(900)] * 4])
def test_a_server_that_recovers_costs_no_row(
    setting: Setting, tmp_path: Path, max_rows: int | None, failures: list[Any]
) -> None:
    files = setting.hub.data_sets["owner/languages"].files
    files["english/train-a.jsonl"].failures = list(failures)
    located = setting.locate(tmp_path, max_rows=max_rows)
    content = files["english/train-a.jsonl"].content + files["english/train-b.jsonl"].content
    if max_rows is None:
        assert b"".join(file.path.read_bytes() for file in located.files) == content
    else:
        assert unpack(located.files[0].path) == [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize("max_rows", [None, 5])
def test_a_server_that_does_not_recover_is_named_with_the_source(
    setting: Setting, tmp_path: Path, max_rows: int | None
) -> None:
    file = setting.hub.data_sets["owner/languages"].files["english/train-a.jsonl"]
    file.failures = [Fails(503)] * 1_000
    with pytest.raises(ConnectionError, match=r"source 'rows': owner/languages .* could not be downloaded .*503"):
        setting.locate(tmp_path, max_rows=max_rows)
    file.failures = []
    assert setting.locate(tmp_path, max_rows=max_rows).files


def test_without_a_network_the_error_says_so(tmp_path: Path) -> None:
    message = r"source 'rows': owner/languages .*: check the network"
    with process("http://127.0.0.1:9", tmp_path) as pool, pytest.raises(ConnectionError, match=message):
        pool.submit(locate, source(), tmp_path / "downloads").result()


def test_sources_without_a_data_set_do_not_wait_for_its_libraries() -> None:
    code = "import sys, lmcore.text.sources.locations.locate; print({'datasets', 'huggingface_hub'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_a_folder_of_this_machine_is_not_taken_for_a_data_set(setting: Setting, tmp_path: Path) -> None:
    setting.process.submit(os.makedirs, "owner/languages", exist_ok=True).result()
    setting.process.submit(Path("owner/languages/train.jsonl").write_text, '{"text": "mine"}\n').result()
    assert [file.name for file in setting.locate(tmp_path).files] == ["english/train-a.jsonl", "english/train-b.jsonl"]
