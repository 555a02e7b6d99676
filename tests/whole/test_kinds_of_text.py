"""The default rules on kinds of text that people have: which of them stay, and which go."""

import base64
import json
import random
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lmcore.config.clean import CleanConfig
from lmcore.text.cleaning.decision import DocumentFilter

PROJECT = Path(__file__).parents[2]
TEMPLATE = "### Instruction:\n{}\n\n### Input:\n{}\n\n### Response:"
SONG = """The wheels of the mill go slowly round,
Slowly round, slowly round,
The wheels of the mill go slowly round,
All day long.

The bells of the town ring loud and clear,
Loud and clear, loud and clear,
The bells of the town ring loud and clear,
All day long."""
SPEAKERS = ["FIRST SOLDIER.", "SECOND SOLDIER.", "CAPTAIN."]
SPEECHES = ["Who goes there?", "A friend.", "The king is ill tonight.", "God keep him well.", "What light is that?"]
PLAY = "\n\n".join(f"{SPEAKERS[number % 3]}\n{SPEECHES[number % 5]} {number}" for number in range(30))
LONG = " ".join(f"The mill by river {number} stood still." for number in range(900))
PICTURE = f"![mill](data:image/png;base64,{base64.b64encode(random.Random(1).randbytes(225_000)).decode()})"
PROGRAM = "".join(f"f{number}=(a,b)=>{{a.c=b+{number};g(a)}}," for number in range(9_000))

STAYS = {
    "tweet": "#MondayMotivation #coffee #work #goals start the week strong",
    "tweet that breaks off": "Just landed in Lisbon... can't wait for the food tour tonight...",
    "link": "Great read on urban gardening https://example.org/a/very/long/path/to/the/article?id=12345678&source=share",
    "line of a dialogue": "- Did you see the old lighthouse by the sea tonight?",
    "dialogue": "- Yes.\n- No.\n- Why not?\n- Because I say so.\n- That is no reason.\n- It is mine.\n" * 2,
    "dialogue with dashes": "\u2014 O\u00f9 vas-tu ?\n\u2014 Je vais au march\u00e9.\n\u2014 Attends-moi !",
    "pair twice": "Not truly in the water, but in the light.",
    "chat": "[12:01] <anna> are you there?\n[12:01] <ben> yes\n[12:02] <anna> it is down again\n[12:02] <ben> ok",
    "chat with dates": "\n".join(f"2024-01-05 09:12:{n} mia: ok {n}" for n in range(10, 22)),
    "verse": SONG,
    "play": PLAY,
    "headings": "\n".join(f"{'#' * (n % 4 + 1)} Part {n}" for n in range(30)),
    "changes": "\n".join(f"* Fix number {number} of the crashes" for number in range(12)),
    "recipe": "Pancakes\n\n- 2 cups flour\n- 1 tsp salt\n- 1/2 l milk\n\n1. Mix all.\n2. Let it rest.\n3. Fry.",
    "numbered": "1. Paris\n2. London\n3. Berlin\n4. Rome\n5. Madrid",
    "dictionary": "run v. 1. to move fast on foot 2. to manage 3. to flow",
    "table": "| name | age |\n|------|-----|\n| Ann  | 34  |\n| Bob  | 27  |\n| Cid  | 51  |\n| Dee  | 19  |",
    "session": ">>> add(1, 2)\n3\n>>> for x in range(3):\n...     print(x)\n...\n0\n1\n2",
    "Chinese": "这家餐厅的服务态度非常好\uff0c菜也很好吃。",
    "Chinese and English": "判断这个句子是主动还是被动语态。\n输入\uff1aThe dog was taken for a walk by the girl.",
    "Chinese with a name": "昨天买的 iPhone 已经到了\uff0c电池很耐用。",
    "Japanese": "駅から徒歩五分、部屋も綺麗でした。",
    "Korean": "나는 학교에 갔다가 친구를 만났다.",
    "Thai": "อาหารอร่อยมากบริการก็ดี",
    "Arabic with vowels": "ذَهَبَ الوَلَدُ إِلَى المَدْرَسَةِ مَعَ أَخِيهِ",
    "Arabic that breaks off": "الجو جميل اليوم ونحن ذاهبون إلى البحر...",
    "Hebrew": "הילדים הלכו לים כי היה חם מאוד היום",
    "Hindi": "मुझे यह किताब बहुत पसंद आई, धन्यवाद।",
    "about a placeholder": 'Setting the width to 150 prints the "Lorem ipsum" text in a single line.',
    "long with a picture": f"{LONG[:18_000]}\n\n{PICTURE}",
    "long with a program in a line": f"{LONG[:18_000]}\n\n{PROGRAM}",
    "long with two blocked words": f"The doctor wrote viagra. {LONG} She crossed viagra out.",
}
MENU = ["Home", "Shop", "Cart", "Help", "Terms", "Jobs", "News", "TV", "Login", "Map"]
GOES = {
    "menu": (
        "too_many_bullets",
        "\n".join(f"- {word}" for word in MENU),
    ),
    "spam": ("too_repetitive", "buy cheap pills now " * 40),
    "blocked": ("blocked_content", "viagra cialis online casino viagra cialis best price"),
    "filler": ("placeholder_text", "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor."),
    "numbers": ("too_few_letters", "12.5 13.1 14.9 18.2 11.1 10.0 9.8 7.7 12.1 13.9"),
    "letters": ("words_too_short", "a b c d e f g h i j k l m n o p q r s t u v"),
    "code words": ("words_too_long", " ".join(f"lib/{'x' * 25}/{number}.py" for number in range(25))),
    "picture": ("words_too_long", f"{LONG[:600]}\n\n{PICTURE}"),
    "blobs": ("words_too_long", f"{LONG[:600]}\n" + "\n".join(PICTURE[n : n + 120] for n in range(30, 24_030, 120))),
    "teasers": ("too_many_ellipses", "\n".join(f"Read the latest about item {number}..." for number in range(12))),
    "notice": ("too_many_repeated_lines", "All rights reserved by the publisher of this page.\n" * 12),
    "Chinese word": ("too_short", "我不知道。"),
    "one word": ("too_few_words", "https://example.org/a/page"),
}


@pytest.fixture(scope="module")
def document_filter() -> DocumentFilter:
    rules = YAML(typ="safe", pure=True).load(PROJECT / "params.yaml")["clean"]
    return DocumentFilter(CleanConfig.model_validate_json(json.dumps(rules)), None)


@pytest.mark.parametrize("kind", STAYS)
def test_a_text_that_people_write_stays(kind: str, document_filter: DocumentFilter) -> None:
    assert document_filter.decide(STAYS[kind]).drop is None


@pytest.mark.parametrize("kind", GOES)
def test_a_text_that_nobody_reads_goes(kind: str, document_filter: DocumentFilter) -> None:
    rule, text = GOES[kind]
    found = document_filter.decide(text).drop
    assert found is not None
    assert found.rule == rule


@pytest.mark.parametrize("run", ["-", "#", ".", "9", "x", "。", "中", " ", "\u0301", "<", "www.", "> "])
def test_a_run_of_anything_is_filtered_in_no_time(run: str, document_filter: DocumentFilter) -> None:
    start = time.process_time()
    document_filter.decide(f"中 # {'word ' * 30}{run * (300_000 // len(run))}\n" * 2)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        (TEMPLATE.format("Name the capital of the country.", "France"), "Paris"),
        ("2 + 2?", "The sum of two and two is four."),
        ("What is 12 * 13?", "12 * 13 = 156"),
        ("Summarize.", "The article describes how the town rebuilt its bridge after the flood."),
    ],
)
def test_an_instruction_stays_with_its_answer(prompt: str, target: str, document_filter: DocumentFilter) -> None:
    decision = document_filter.decide(prompt, target)
    assert (decision.drop, decision.text, decision.target) == (None, prompt, target)
