import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from lmcore.evaluation.plots import Curve, interval_plot
from lmcore.evaluation.report import ReportContent, Training, render_figures, render_report, verdict
from tests.evaluation.evaluation_settings import CONFIG

HOSTILE = '<script>alert("1 & 2")</script><img src=x onerror=alert(1)>'


def figure(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def likelihood(value: float) -> dict[str, dict[str, float]]:
    return {"bits_per_byte": figure(value), "perplexity": figure(10 * value)}


def content(text: str) -> ReportContent:
    overlap = {name: figure(20.0) for name in ("bleu", "chrf", "rouge_l")}
    class_figures = {"accuracy": figure(0.5), "macro_f1": figure(0.4)}
    record = {
        "n_parameters": 1000,
        "n_steps": 10,
        "n_epochs": 0.5,
        "n_targets": 5000,
        "best_validation_loss": 2.5,
        "best_step": 8,
        "precision": "bfloat16",
    }
    curves = [Curve("training", [(1, 5.0), (2, 4.0)]), Curve("validation", [])]
    return ReportContent(
        language_model={
            "figures": {
                "neural": likelihood(1.2),
                "ngram": likelihood(1.3),
                "interpolation": likelihood(1.1),
                "ngram_on_seen_tokens": likelihood(1.4),
                "differences": {
                    "interpolation_minus_neural": figure(-0.5),
                    "interpolation_minus_ngram": figure(-0.4),
                    "neural_minus_ngram_on_seen_tokens": figure(0.05),
                    "neural_minus_ngram": figure(0.3),
                },
                "n_documents": 10,
                "n_tokens": 100,
                "n_bytes": 400,
            },
            "mixture": {"weights": [[0.2, None], [0.7, 0.9]], "shares": [[0.3, 0.0], [0.3, 0.4]]},
            "documents": [{"id": "0", "title": text, "pieces": [{"text": text, "bits": {"neural": 3, "ngram": 5}}]}],
        },
        classifier={
            "figures": {
                "neural": class_figures,
                "bag_of_words": class_figures,
                "majority_class": class_figures,
                "differences": {
                    "neural_minus_bag_of_words": figure(0.2),
                    "neural_minus_majority_class": figure(0.3),
                },
                "n_documents": 10,
                "n_training_documents": 50,
            },
            "labels": [text, "numpy"],
            "confusion": [[3, 1], [0, 0]],
        },
        completion={
            "figures": {
                "neural": overlap,
                "first_sentence": overlap,
                "differences": {"neural_minus_first_sentence": overlap},
                "n_documents": 2,
            },
            "signatures": {"bleu": text},
            "completions": [{"id": "0", "prompt": text, "reference": text, "neural": text, "first_sentence": ""}],
        },
        samples=[{"prompt": text, "continuation": text}],
        trainings=[Training("Language model", record, curves, "nats per token")],
        clean_summary={
            "input": 10,
            "kept": 8,
            "dropped": 2,
            "dropped_by_reason": {text: 2},
            "bytes": 100,
            "labels": [{"label": text, "documents": 8, "bytes": 100}],
        },
        token_summary={
            "splits": {"train": {"n_documents": 8, "n_tokens": 30, "n_bytes": 100, "characters_per_token": 3.3}}
        },
        parameters={"evaluate": {"samples": {"prompts": [text]}}},
    )


class Page(HTMLParser):
    """Checks that what is opened is closed, and collects elements and text."""

    EMPTY = frozenset({"meta", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(content(HOSTILE), CONFIG))


def test_hostile_text_stays_text_wherever_it_stands(page):
    tags = {tag for tag, _ in page.elements}
    assert "script" not in tags
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert sum(HOSTILE in text for text in page.text) >= 10


def test_the_page_needs_nothing_from_elsewhere(page):
    sources = [attributes.get("src") or attributes.get("href") for _, attributes in page.elements]
    sources += [attributes.get("xlink:href") for _, attributes in page.elements]
    assert all(source.startswith("#") for source in sources if source)
    styles = "".join(text for text in page.text if "{" in text)
    assert "@import" not in styles
    assert "url(" not in re.sub(r"url\(#", "", styles)


def test_an_id_stands_once_and_links_lead_somewhere(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_figures_are_described_in_words(page):
    figures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(figures) == 2
    assert all(attributes["role"] == "img" for attributes in figures)
    assert "Neural model 1.200, from 1.100 to 1.300" in figures[0]["aria-label"]
    assert "training ends at 4.000" in figures[1]["aria-label"]


def test_tables_have_a_caption_and_heads_of_columns(page):
    tables = [attributes for tag, attributes in page.elements if tag == "table"]
    described = [attributes for attributes in tables if "aria-describedby" in attributes or "class" in attributes]
    captions = [tag for tag, _ in page.elements if tag == "caption"]
    assert len(captions) + len(described) == len(tables)
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")


def test_a_model_that_is_not_there_is_reported_with_its_reason():
    absent = {"skipped": "2 labels are too few"}
    html = render_report(replace(content("text"), classifier=absent, completion=absent), CONFIG)
    assert html.count("Not evaluated: 2 labels are too few.") == 2
    Page(html)


def test_equal_content_gives_equal_bytes():
    assert render_report(content("a"), CONFIG) == render_report(content("a"), CONFIG)
    figures = render_figures(content("a"), CONFIG)
    assert figures == render_figures(content("a"), CONFIG)
    assert sorted(figures) == ["bits-per-byte.svg", "loss-language-model.svg"]
    assert not any(re.search(r"<dc:date>|<metadata>", figure) for figure in figures.values())


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "expected"),
    [
        (-2, -1, True, "better"),
        (-2, -1, False, "worse"),
        (1, 2, True, "worse"),
        (1, 2, False, "better"),
        (-1, 1, True, "unclear"),
        (0, 1, False, "unclear"),
    ],
)
def test_a_verdict_needs_the_whole_interval(low, high, lower_is_better, expected):
    assert verdict({"low": low, "high": high}, lower_is_better=lower_is_better) == expected


def test_a_figure_alone_shows_in_any_program(tmp_path):
    from lmcore.evaluation.bootstrap import Estimate

    svg = interval_plot("x", {'a "b" <c>': Estimate(1.0, 0.9, 1.1)}, label="bits", description='"<&>')
    elements = Page(svg).elements
    assert elements[0][0] == "svg"
    assert elements[0][1]["xmlns"] == "http://www.w3.org/2000/svg"
    assert elements[0][1]["aria-label"] == '"<&>'
    assert "var(--first, #2f6fb2)" in svg
