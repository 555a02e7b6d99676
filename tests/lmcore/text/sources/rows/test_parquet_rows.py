from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.lmcore.text.sources.reader import lines_and_reasons, read, records, texts, write


def write_rows(path: Path, rows: list[dict[str, object]], **options: object) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def test_rows_are_numbered_over_all_groups(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"n": number, "text": f"row {number}", "ok": True} for number in range(2_500)]
    documents, read_errors = read(
        records(label="ok", name="n"), write_rows(tmp_path / "rows.parquet", rows, row_group_size=1_000)
    )
    assert [(document.line, document.text, document.name) for document in documents] == [
        (number + 1, f"row {number}", str(number)) for number in range(2_500)
    ]
    assert {(document.label, document.kind) for document in documents} == {("true", "record")}
    assert not read_errors


def test_fields_lie_in_columns_of_objects(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"meta": {"title": {"en": "deep"}, "more": 1}},
        {"meta": None},
        {"meta": {"title": {"en": None}, "more": 1}},
        {"meta": {"title": {"en": " "}, "more": 1}},
    ]
    documents, read_errors = read(records("meta.title.en"), write_rows(tmp_path / "rows.parquet", rows))
    assert texts(documents) == ["deep"]
    assert lines_and_reasons(read_errors) == [(2, "missing_field"), (3, "wrong_type"), (4, "empty_text")]


@pytest.mark.parametrize("name", ["other", "meta.other", "text.title", "meta.title.en", "text.0", "meta.0", "list.one"])
def test_a_missing_column_is_an_error_that_names_those_there_are(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / "rows.parquet", [{"text": "x", "meta": {"title": "y"}, "list": ["z"]}])
    with pytest.raises(ValueError, match=rf"'given': rows.parquet has no column '{name}'; its columns are 'text', 'me"):
        read(records(label=name), path)


def test_only_the_value_that_is_not_unicode_is_lost(tmp_path: Path) -> None:
    column = pa.array([b"one", b"caf\xe9", b"three"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": column}), tmp_path / "rows.parquet")
    documents, read_errors = read(records(), tmp_path / "rows.parquet")
    assert texts(documents) == ["one", "three"]
    assert lines_and_reasons(read_errors) == [(2, "not_unicode")]


def test_values_that_are_too_long_or_no_strings_are_located(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one", "é" * 51, "é" * 50]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "b.parquet")
    documents, read_errors = read(records(), tmp_path / "a.parquet", tmp_path / "b.parquet", max_document_bytes=100)
    assert texts(documents) == ["one", "é" * 50]
    assert lines_and_reasons(read_errors) == [(2, "too_long"), (1, "wrong_type"), (2, "wrong_type")]


def test_after_a_damaged_row_group_the_next_is_read(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": f"row {number} of many"} for number in range(3_000)]
    path = write_rows(
        tmp_path / "rows.parquet",
        rows,
        row_group_size=1_000,
        data_page_size=1_000,
        write_batch_size=50,
        use_dictionary=False,
        write_page_checksum=True,
    )
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 0xFF
    documents, read_errors = read(records(), write(path, bytes(content)))
    (read_error,) = read_errors
    assert read_error.reason == "damaged_file"
    assert read_error.line is not None
    assert 1_300 < read_error.line < 1_700
    kept = [row["text"] for number, row in enumerate(rows, start=1) if number < read_error.line or number > 2_000]
    assert texts(documents) == kept


def damaged(path: Path, column: int) -> bytes:
    """A file in whose first group of rows one byte of a column differs."""
    content = bytearray(path.read_bytes())
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(column)
    content[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    return bytes(content)


def test_columns_that_are_not_needed_are_not_read(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": f"row {number}", "other": f"{number}"} for number in range(100)]
    path = write_rows(tmp_path / "rows.parquet", rows, use_dictionary=False, write_page_checksum=True)
    documents, read_errors = read(records(), write(path, damaged(path, 1)))
    assert texts(documents) == [row["text"] for row in rows]
    assert not read_errors


def test_a_byte_that_only_the_checksum_knows_to_be_wrong_is_a_damage(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": f"row {number}"} for number in range(100)]
    path = write_rows(
        tmp_path / "rows.parquet", rows, use_dictionary=False, write_page_checksum=True, compression="none"
    )
    documents, read_errors = read(records(), write(path, damaged(path, 0)))
    assert not documents
    assert lines_and_reasons(read_errors) == [(1, "damaged_file")]


@pytest.mark.parametrize("n_bytes_cut", [1, 100, 10_000])
def test_a_file_that_is_cut_off_or_none_is_damaged(tmp_path: Path, n_bytes_cut: int) -> None:
    path = write_rows(tmp_path / "rows.parquet", [{"text": f"row {number}"} for number in range(10_000)])
    write(path, path.read_bytes()[:-n_bytes_cut])
    good = write_rows(tmp_path / "good.parquet", [{"text": "x"}])
    documents, read_errors = read(records(), path, write(tmp_path / "none.parquet", b"text"), good)
    assert texts(documents) == ["x"]
    assert [(read_error.path, read_error.reason) for read_error in read_errors] == [
        ("rows.parquet", "damaged_file"),
        ("none.parquet", "damaged_file"),
    ]


def test_a_bomb_of_one_text_for_all_rows_is_given_up(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows.parquet", [{"text": "x" * 10_000}] * 20_000)
    assert path.stat().st_size < 100_000
    documents, read_errors = read(records(), path, max_unpacked_bytes=50_000_000)
    assert 4_000 < len(documents) < 5_000
    assert lines_and_reasons(read_errors) == [(len(documents) + 1, "unpacks_too_large")]
