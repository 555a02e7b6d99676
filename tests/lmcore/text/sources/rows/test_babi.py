import gzip
from pathlib import Path

import pytest

from tests.lmcore.text.sources.reader import lines_and_reasons, read, records, write

STORIES = b"""1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the hallway.
5 Where is John?\thallway\t2 4
1 A wolf is an animal.
2 What is a wolf?\tanimal\t1
no number
"""
READER = records("{story}\nQuestion: {question}", target="answer", name="supporting", format="babi")
DATA = Path(__file__).parents[6] / "shared" / "data" / "babi"


def test_each_question_has_the_story_so_far(tmp_path: Path) -> None:
    documents, read_errors = read(READER, write(tmp_path / "stories.txt", STORIES))
    first = "Mary moved to the bathroom.\nJohn went to the hallway."
    assert [(document.line, document.text, document.target) for document in documents] == [
        (3, f"{first}\nQuestion: Where is Mary?", "bathroom"),
        (5, f"{first}\nDaniel went back to the hallway.\nQuestion: Where is John?", "hallway"),
        (7, "A wolf is an animal.\nQuestion: What is a wolf?", "animal"),
    ]
    assert documents[1].name == "John went to the hallway.\nDaniel went back to the hallway."
    assert lines_and_reasons(read_errors) == [(8, "wrong_type")]


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not there")
def test_the_benchmark_has_as_many_questions_as_it_says(tmp_path: Path) -> None:
    content = gzip.decompress((DATA / "test.txt.gz").read_bytes())
    documents, read_errors = read(READER, write(tmp_path / "test.txt", content))
    assert (len(documents), read_errors) == (content.count(b"\t") // 2, [])
    assert len(documents) == 20_000
