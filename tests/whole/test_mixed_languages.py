"""A Chinese corpus, and one of several languages, from files to tokens."""

import json
from pathlib import Path

import numpy as np
import pytest

from lmcore.config.tokenize import BytePairConfig, SplitFractions, TokenizeConfig
from lmcore.text.cleaning.filters import first_failure
from lmcore.text.documents.shards import read_documents
from lmcore.tokens.corpus.shards import TokenShards
from lmcore.tokens.tokenizer.tokenizer import Tokenizer
from tasks.clean import clean_documents
from tasks.collect import collect_documents, refresh_lock
from tasks.context.environment import Environment
from tasks.context.parameters import load_parameters
from tasks.tokenize import tokenize_documents
from tests.lmcore.text.cleaning_for_tests import LENIENT, configure_cleaning
from tests.lmcore.text.sources_for_tests import configure, local

CHINESE = [
    "他每天早上都去公园散步",
    "图书馆里有很多有趣的书",
    "我们昨天在山上看见了雪",
    "老师告诉学生明天要考试",
    "河边的树叶已经变成红色",
    "孩子们在院子里唱歌跳舞",
]
ENGLISH = [
    "He walks through the park every morning",
    "There are many interesting books in the library",
    "Yesterday we saw snow on the mountain",
    "The teacher told the students that there is a test",
    "The leaves of the trees by the river have turned red",
    "The children were singing and dancing in the yard",
]
GERMAN = "Am nächsten Morgen gingen die Kinder in den Wald, um dort Beeren zu sammeln, und kamen erst am Abend zurück."
# What the defaults must keep, by language: prose in scripts of all kinds.
PROSE = {
    "zh": "昨天下午我和妹妹去了河边。水很浅\uff0c可以看见小鱼在石头中间游来游去。我们坐到太阳落山才回家。",
    "ja": "昨日の午後、妹と川へ行きました。水は浅くて、石の間を小さな魚が泳いでいるのが見えました。",
    "th": "เมื่อวานตอนบ่ายฉันกับน้องสาวไปที่แม่น้ำ น้ำตื้นมากจนเห็นปลาตัวเล็กว่ายอยู่ระหว่างก้อนหิน เรานั่งอยู่จนพระอาทิตย์ตก",
    "ko": "어제 오후에 나는 여동생과 함께 강가에 갔다. 물이 얕아서 돌 사이로 작은 물고기가 헤엄치는 것이 보였다.",
    "ru": "Вчера мой брат был там, где начинается река. Вода была мелкая, и между камнями плавали маленькие рыбки.",
    "ar": "ذهبت أمس مع أختي إلى النهر بعد الظهر. كان الماء ضحلا ورأينا أسماكا صغيرة تسبح بين الحجارة.",
    "hi": "कल दोपहर मैं अपनी बहन के साथ नदी पर गया था। पानी उथला था और पत्थरों के बीच छोटी मछलियाँ तैर रही थीं।",
}
PARAMETERS = load_parameters(Path(__file__).parents[2] / "params.yaml")
SPLIT = SplitFractions(validation=0.2, test=0.2)
LANGUAGES = {"kept": ["en", "zh"], "min_probability": 0.6, "min_characters": 20}
MARK = "\u3002"


def documents(sentences: list[str], mark: str, separator: str, n_documents: int) -> list[str]:
    random = np.random.default_rng(1)
    return [
        separator.join(f"{sentence}{mark}" for sentence in random.permutation(sentences)[:4]) + f"{separator}{number}"
        for number in range(n_documents)
    ]


def run(folder: Path, texts: list[str], **rules: object) -> Path:
    """The folder of a small project whose first stages have run."""
    (folder / "own").mkdir(parents=True)
    (folder / "own/texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    config = configure(local("texts", folder / "own/texts.txt", {"kind": "lines", "label": None, "encoding": None}))
    environment, lock = Environment(workers=1, work_folder=folder / "work"), folder / "sources.lock"
    refresh_lock(config, environment, lock=lock)
    collect_documents(config, environment, lock=lock, raw=folder / "raw")
    cleaning = configure_cleaning(filters=LENIENT | {"min_words": 4}, **rules)
    clean_documents(cleaning, SPLIT, environment, raw=folder / "raw", clean_folder=folder / "clean")
    tokenizer = BytePairConfig(kind="byte_pair", vocabulary_size=400)
    tokenize = TokenizeConfig(tokenizer=tokenizer, target_separator=None, split=SPLIT)
    tokenize_documents(tokenize, environment, weights={}, clean_folder=folder / "clean", tokens=folder / "tokens")
    return folder


@pytest.mark.parametrize("language", PROSE)
def test_the_default_filters_keep_prose_in_any_script(language: str) -> None:
    assert PARAMETERS.clean.filters is not None
    assert first_failure(PROSE[language], language, PARAMETERS.clean.filters) is None


def test_a_chinese_corpus_is_divided_into_sentences_and_comes_back_from_its_tokens(tmp_path: Path) -> None:
    texts = documents(CHINESE, MARK, "", 60)
    project = run(tmp_path, texts, language="zh")
    clean = read_documents(project / "clean").to_pylist()
    assert len(clean) == 60
    for document in clean:
        n_sentences = document["text"].count(MARK)
        assert [document["text"][end - 1] for end in document["sentence_ends"][:n_sentences]] == [MARK] * n_sentences
        assert document["n_words"] >= 40
    tokenizer, shards = Tokenizer.load(project / "tokens/tokenizer.json"), TokenShards.open(project / "tokens")
    text = "".join(tokenizer.decode(shards.tokens(split).tolist()) for split in ("train", "validation", "test"))
    assert all(document in text for document in texts)


def test_in_a_mixed_corpus_each_document_is_read_by_the_rules_of_its_language(tmp_path: Path) -> None:
    chinese, english = documents(CHINESE, MARK, "", 30), documents(ENGLISH, ".", " ", 30)
    project = run(tmp_path, [*chinese, *english, GERMAN], language="en", identify_language=LANGUAGES)
    clean = read_documents(project / "clean").to_pylist()
    languages = {document["text"]: document["language"] for document in clean}
    assert languages == dict.fromkeys(chinese, "zh") | dict.fromkeys(english, "en")
    for document in clean:
        # Characters of Chinese, words of English; and the same number of sentences of either.
        n_words = (
            len(document["text"].replace(MARK, "")) if document["language"] == "zh" else document["text"].count(" ") + 1
        )
        assert abs(document["n_words"] - n_words) <= 2
        assert len(document["sentence_ends"]) == 5
    summary = json.loads((project / "clean/summary.json").read_bytes())
    assert summary["dropped_by_reason"] == {"other_language": 1}
