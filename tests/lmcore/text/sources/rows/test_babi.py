import gzip
from collections import Counter
from pathlib import Path

import pytest

from lmcore.text.sources.rows.babi_tasks import TASKS
from tests.lmcore.text.sources.reader import lines_and_reasons, read, records, write

STORIES = b"""1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the hallway.
5 How do you go from here to John?\ts,w\t2 4
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
        (5, f"{first}\nDaniel went back to the hallway.\nQuestion: How do you go from here to John?", "s, w"),
        (7, "A wolf is an animal.\nQuestion: What is a wolf?", "animal"),
    ]
    assert documents[1].name == "John went to the hallway.\nDaniel went back to the hallway."
    assert lines_and_reasons(read_errors) == [(8, "wrong_type")]


def test_the_task_of_a_question_is_that_of_its_whole_story(tmp_path: Path) -> None:
    stories = b"""1 Mary moved to the bathroom.
2 Where is Mary?\tbathroom\t1
3 Then she went to the hallway.
4 Where is Mary?\thallway\t1 3
1 Mary moved to the bathroom.
2 Where is Mary?\tbathroom\t1
1 What is this?\tnothing known\t
"""
    reader = records("{question}", target="answer", name="task", format="babi")
    documents, _ = read(reader, write(tmp_path / "stories.txt", stories))
    assert [document.name or "" for document in documents] == [
        "11 basic coreference",
        "11 basic coreference",
        "1 single supporting fact",
        "",
    ]


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not there")
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_task_of_the_benchmark_has_a_thousand_questions(split: str, tmp_path: Path) -> None:
    content = gzip.decompress((DATA / f"{split}.txt.gz").read_bytes())
    reader = records("{story} {question}", target="answer", name="task", format="babi")
    documents, read_errors = read(reader, write(tmp_path / "stories.txt", content))
    assert (len(documents), read_errors) == (content.count(b"\t") // 2, [])
    assert Counter(document.name for document in documents) == dict.fromkeys(TASKS, 1000)
