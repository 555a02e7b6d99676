import gzip
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.feather
import pytest

from lmcore.config.collect import ReadingLimits, Source
from lmcore.config.locations import LocalDataSet
from lmcore.config.readers import RecordFields
from lmcore.text.documents.document import Document, ReadError
from lmcore.text.sources.locations.locate import locate
from lmcore.text.sources.read_files import read_files
from tests.lmcore.text.sources.reader import lines_and_reasons, read, records, texts, write

ROWS = {"text": ["one", "two", "three"], "label": [1, 0, -1], "tags": [[0, 1], [], [1]]}
CLASSES = datasets.ClassLabel(names=["negative", "positive"])
FEATURES = datasets.Features({"text": datasets.Value("string"), "label": CLASSES, "tags": datasets.List(CLASSES)})
LIMITS = ReadingLimits(max_document_bytes=10**6, max_unpacked_bytes=10**8)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a data set may lie on the disk as."""
    folder = tmp_path_factory.mktemp("saved")
    datasets.disable_progress_bars()
    data = datasets.Dataset.from_dict(ROWS, features=FEATURES)
    data.save_to_disk(folder / "single", num_shards=2)
    datasets.DatasetDict({"train": data, "test": data.select([2])}).save_to_disk(folder / "splits")
    for ending in ("parquet", "json", "csv"):
        (folder / ending).mkdir()
    data.to_parquet(folder / "parquet/train-00000-of-00001.parquet")
    data.select([2]).to_parquet(folder / "parquet/test-00000-of-00001.parquet")
    data.to_json(folder / "json/data.jsonl")
    write(folder / "csv/train.csv.gz", gzip.compress(b"text,label\none,1\ntwo,0\nthree,-1\n"))
    return folder


def source(path: Path, split: str | None, label: str | None = "label") -> Source:
    return Source(
        name="own",
        location=LocalDataSet(kind="dataset", path=str(path), dataset_split=split, configuration=None),
        reader=records(label=label),
        split=None,
        weight=1.0,
        license=None,
        attribution=None,
    )


def read_data_set(path: Path, split: str | None, downloads: Path) -> list[Document | ReadError]:
    own = source(path, split)
    return list(read_files(own, locate(own, downloads).files, LIMITS))


NAMED = [("one", "positive"), ("two", "negative"), ("three", None)]


@pytest.mark.parametrize(
    ("name", "split", "expected"),
    [
        ("single", None, NAMED),
        ("splits", "train", NAMED),
        ("splits", "test", NAMED[2:]),
        ("parquet", "train", NAMED),
        ("parquet", "test", NAMED[2:]),
        ("json", None, [("one", "1"), ("two", "0"), ("three", "-1")]),
        ("csv", "train", [("one", "1"), ("two", "0"), ("three", "-1")]),
    ],
)
def test_what_datasets_wrote_is_read_with_the_names_of_its_classes(
    saved: Path, tmp_path: Path, name: str, split: str | None, expected: list[tuple[str, str | None]]
) -> None:
    found = read_data_set(saved / name, split, tmp_path)
    assert [(item.text, item.label) for item in found if isinstance(item, Document)] == expected
    assert len(found) == len(expected)


def test_files_are_pinned_under_their_names_in_the_folder(saved: Path, tmp_path: Path) -> None:
    located = locate(source(saved / "splits", "test"), tmp_path)
    assert [file.name for file in located.files] == ["test/data-00000-of-00001.arrow"]
    assert len(locate(source(saved / "single", None), tmp_path).files) == 2


def test_lists_of_classes_are_named_as_well(saved: Path) -> None:
    rows = read(records("{text}: {tags}"), saved / "parquet/train-00000-of-00001.parquet")[0]
    assert texts(rows)[0] == "one: negative positive"


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("nowhere", None, "there is no folder"),
        ("splits", None, "has no split None: its splits are train, test; name one as `dataset_split`"),
        ("splits", "dev", "has no split 'dev'"),
        ("single", "train", "has no split 'train'"),
        ("broken", None, "is not a data set that datasets can open"),
        ("lost", None, "is not a data set that datasets can open"),
        ("leads", None, "links to 1 files outside it"),
        ("texts", None, r"1 files of .* hold no rows \(a.txt\)"),
    ],
)
def test_what_is_no_data_set_is_named_with_what_to_do(
    saved: Path, tmp_path: Path, name: str, split: str | None, message: str
) -> None:
    write(saved / "broken/state.json", b"{")
    write(saved / "lost/other.bin", b"x")
    write(saved / "leads/state.json", json.dumps({"_data_files": [{"filename": "../single/state.json"}]}).encode())
    write(saved / "texts/a.txt", b"text")
    with pytest.raises(ValueError, match=f"source 'own': .*{message}"):
        locate(source(saved / name, split), tmp_path)


def test_a_data_set_has_rows() -> None:
    with pytest.raises(ValueError, match=r"set reader\.kind to records"):
        Source.model_validate(
            source(Path("x"), None).model_dump() | {"reader": {"kind": "lines", "encoding": None, "label": None}}
        )


def test_arrow_files_of_both_kinds_are_read_up_to_a_damage(saved: Path, tmp_path: Path) -> None:
    pyarrow.feather.write_feather(pa.table({"text": ["feather"]}), tmp_path / "a.feather")
    with pa.OSFile(str(tmp_path / "b.arrow"), "wb") as file:
        batch = pa.record_batch({"text": ["x" * 1000] * 50})
        with pa.ipc.new_stream(file, batch.schema) as stream:
            stream.write_batch(batch)
            stream.write_batch(batch)
    whole = (tmp_path / "b.arrow").read_bytes()
    write(tmp_path / "cut.arrow", whole[:-20_000])
    documents, read_errors = read(records(), *(tmp_path / name for name in ("a.feather", "b.arrow", "cut.arrow")))
    assert len(documents) == 1 + 100 + 50
    assert lines_and_reasons(read_errors) == [(51, "damaged_file")]
    documents, read_errors = read(records(), write(tmp_path / "none.arrow", b"text"))
    assert lines_and_reasons(read_errors) == [(None, "damaged_file")]
    with pytest.raises(ValueError, match="nothing"):
        read(records("nothing"), tmp_path / "a.feather")


def test_numbers_that_lead_out_of_an_arrow_file_do_no_harm(tmp_path: Path) -> None:
    sink = pa.BufferOutputStream()
    offsets = pa.array([0, 3, 6], pa.int32()).buffers()[1]
    column = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"onetwo")])
    with pa.ipc.new_stream(sink, pa.schema([("text", pa.string())])) as stream:
        stream.write_batch(pa.record_batch({"text": column}))
    content = sink.getvalue().to_pybytes()
    damaged = content.replace(b"\6\0\0\0" + bytes(4), b"\xff\xff\xff\x7f" + bytes(4), 1)
    assert damaged != content
    documents, read_errors = read(records(), write(tmp_path / "a.arrow", damaged))
    assert not documents
    assert lines_and_reasons(read_errors) == [(1, "damaged_file")]


def test_reader_knows_the_format_by_name() -> None:
    assert RecordFields.model_validate(records().model_dump() | {"format": "arrow"}).format == "arrow"
