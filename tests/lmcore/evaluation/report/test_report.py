import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lmcore.evaluation.multi_label import evaluate_multi_label
from lmcore.evaluation.preferences import evaluate_rewards
from lmcore.evaluation.report.plots import interval_plot
from lmcore.evaluation.report.render import CompletionPart, render_plots, render_report
from lmcore.evaluation.result import Estimate, EvaluationResult
from tests.lmcore.evaluation.evaluation_settings import CONFIG
from tests.lmcore.evaluation.report.report_content import ENCODER_DECODER, MASKED, NGRAM, content

HOSTILE = '<script>alert("1 & 2")</script><img src=x onerror=alert(1)>'


def words_of(html: str) -> str:
    """The page's text, its white space collapsed."""
    return " ".join(" ".join(Page(html).text).split())


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


def no_completions(absent: EvaluationResult) -> CompletionPart:
    return CompletionPart("completion", "Completion", "Completes a prompt.", absent)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(content(HOSTILE), CONFIG))


def test_hostile_text_stays_text_everywhere(page):
    tags = {tag for tag, _ in page.elements}
    assert "script" not in tags
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert sum(HOSTILE in text for text in page.text) >= 10


def test_the_page_loads_nothing(page):
    sources = [attributes.get("src") or attributes.get("href") for _, attributes in page.elements]
    sources += [attributes.get("xlink:href") for _, attributes in page.elements]
    assert all(source.startswith("#") for source in sources if source)
    styles = "".join(text for text in page.text if "{" in text)
    assert "@import" not in styles
    assert "url(" not in re.sub(r"url\(#", "", styles)


def test_ids_are_unique_and_links_have_a_target(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_plots_are_described_in_words(page):
    plots = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(plots) == 3
    assert all(attributes["role"] == "img" for attributes in plots)
    assert "GPT 1.210, from 1.110 to 1.310" in plots[0]["aria-label"]
    assert "with the temperature 10.0 %" in plots[1]["aria-label"]
    assert "training ends at 4.000" in plots[2]["aria-label"]


def test_tables_have_a_caption_and_column_headers(page):
    tables = [attributes for tag, attributes in page.elements if tag == "table"]
    described = [attributes for attributes in tables if "aria-describedby" in attributes or "class" in attributes]
    captions = [tag for tag, _ in page.elements if tag == "caption"]
    assert len(captions) + len(described) == len(tables)
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")


@pytest.mark.parametrize(("is_all_seen", "shown"), [(True, "whole training split"), (False, "tokens that it has seen")])
def test_the_page_tells_whether_the_model_has_seen_the_whole_training_split(is_all_seen, shown):
    language_model = content("text").language_model.with_details(is_whole_split_seen=is_all_seen)
    assert f"GPT {shown if is_all_seen else f'training {shown}'} 1.2" in words_of(
        render_report(replace(content("text"), language_model=language_model), CONFIG)
    )


def test_a_skipped_model_is_reported_with_the_reason():
    absent = EvaluationResult(skipped="2 labels are too few")
    html = render_report(replace(content("text"), classifier=absent, completions=[no_completions(absent)]), CONFIG)
    assert "Not evaluated Classifier: 2 labels are too few. Completion: 2 labels are too few." in words_of(html)
    Page(html)


def test_the_page_names_the_model_and_compares_by_clean_documents():
    html = render_report(content("my corpus"), CONFIG)
    text = words_of(html)
    assert "<title>GPT, 1 k parameters, trained on my corpus (8 documents, 30 tokens), 10 steps</title>" in html
    assert "neural" not in text.lower()
    assert "1.210 bits per byte (clean)" in text
    assert "on all documents 1.200" in text
    assert "8 of the 10 test documents share no run of 13 words" in text
    assert "Of 10 collected documents, 8 were kept, 1 left out to stay within the size limit per label," in text
    assert "and 1 dropped by the cleaning rules. 3 more could not be read." in text


def test_completions_are_compared_with_the_strongest_baseline_in_words():
    text = words_of(render_report(content("text"), CONFIG))
    assert "Completes text. Strongest baseline, selected on the validation split: nearest prompt." in text
    assert "Compared with it by chrF (clean), the model is worse" in text
    assert "p < 0.001 worse" in text


@pytest.mark.parametrize("n_clean", [40, 30])
def test_a_model_with_one_metric_is_shown_beside_its_base(n_clean):
    rewards, before = np.array([1.0] * 30 + [0.0] * 10), np.array([1.0] * 10 + [0.0] * 30)
    rows = [{"id": "0", "prompt": "17 m?", "reference": "1700 cm", "model": "1700 cm", "base": "17 cm"}]
    names = {"model": "GPT trained with rewards", "base": "its base model"}
    result = evaluate_rewards(names, rewards, before, np.arange(40) < n_clean, CONFIG, rows)
    part = CompletionPart("grpo", "Rewards", "Answers.", result)
    text = words_of(render_report(replace(content("text"), completions=[part]), CONFIG))
    assert "GPT trained with rewards" in text
    assert "the model is better" in text


def test_the_metrics_of_each_source_are_shown_if_there_are_several():
    assert "By source" not in render_report(content("text"), CONFIG)
    page = content("text")
    metrics = page.language_model.metrics
    by_source = {"books": replace(metrics, by_source={}), "news": replace(metrics, by_source={})}
    several = replace(page.language_model, metrics=replace(metrics, by_source=by_source))
    text = words_of(render_report(replace(page, language_model=several), CONFIG))
    assert "books 10 1.200 1.100 to 1.300" in text


def test_the_metric_of_each_label_is_shown_if_there_are_several():
    assert "by label, on all" not in render_report(content("text"), CONFIG)
    page = content("text")
    part = page.completions[0]
    estimate = {"value": 40.0, "low": 30.0, "high": 50.0}
    row = {
        "label": "2 counting",
        "n_documents": 7,
        "model": estimate,
        part.result.details["strongest_baseline"]: estimate,
    }
    part = replace(part, result=part.result.with_details(by_label=[row]))
    text = words_of(render_report(replace(page, completions=[part]), CONFIG))
    assert "chrF by label, on all documents" in text
    assert "2 counting 7 40.0 30.0 to 50.0 40.0 30.0 to 50.0" in text


def test_probes_are_shown_with_their_method_and_intervals():
    text = words_of(render_report(content("text"), CONFIG))
    assert "Memorization. Decoding text." in text
    assert "16 tokens text 100 2.0 % 0.0 % to 7.0 %" in text.replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_the_page_tells_that_a_baseline_is_better_and_which_classes_were_not_trained():
    text = words_of(render_report(content("text"), CONFIG))
    assert "selected on the validation split: characters, linear. Compared with it, the classifier is worse" in text
    assert "2 of the test texts count as wrong, for the classifier and the baselines alike" in text
    assert "because none of them was trained on these classes: rare." in text


@pytest.mark.parametrize(
    ("found", "shown", "not_shown"),
    [
        (
            NGRAM,
            "5-gram 1.210 bits per byte (clean) 4-gram 1.310",
            ["Samples", "Interpolation weights", "distinguishable 0.000"],
        ),
        (MASKED, "BERT 1.010 pseudo bits per byte (clean) token frequencies 3.010", ["Samples", "Surprisal"]),
        (
            ENCODER_DECODER,
            "Encoder-decoder 5.010 bits per masked token (clean) token frequencies 9.010",
            ["Samples", "Surprisal"],
        ),
    ],
)
def test_every_family_has_the_sections_and_metrics_that_fit_it(found, shown, not_shown):
    absent = EvaluationResult(skipped="a model of this family gives no features to classify by")
    page = replace(
        content("text"),
        language_model=EvaluationResult.from_json(found),
        classifier=absent,
        completions=[no_completions(absent)],
        samples=[],
    )
    html = render_report(page, CONFIG)
    text = words_of(html)
    assert shown in text
    assert [word for word in not_shown if word in text] == []
    links = [attributes["href"] for tag, attributes in Page(html).elements if tag == "a"]
    ids = [attributes.get("id") for _, attributes in Page(html).elements]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    # A section must have more than its heading.
    assert all(len(words_of(section)) > 60 for section in re.findall("<section.*?</section>", html, re.DOTALL))


@pytest.mark.parametrize("n_clean", [None, 10])
def test_if_all_documents_or_none_are_clean_each_metric_is_shown_once(n_clean):
    page = content("text")
    metrics = page.language_model.metrics
    counts = {name: number for name, number in metrics.counts.items() if name != "n_documents_clean"}
    counts |= {"n_documents_clean": n_clean} if n_clean else {}
    language_model = replace(page.language_model, metrics=replace(metrics, counts=counts))
    html = render_report(replace(page, language_model=language_model), CONFIG)
    assert "Bits per byte (" not in html
    assert "1.200" in html


def test_equal_content_gives_equal_bytes():
    assert render_report(content("a"), CONFIG) == render_report(content("a"), CONFIG)
    plots = render_plots(content("a"))
    assert plots == render_plots(content("a"))
    assert sorted(plots) == ["bits-per-byte.svg", "loss-language-model.svg", "reliability.svg"]
    assert not any(re.search(r"<dc:date>|<metadata>", plot) for plot in plots.values())


def test_a_plot_is_an_svg_file_of_its_own():
    svg = interval_plot("x", {'a "b" <c>': Estimate(1.0, 0.9, 1.1)}, label="bits", description='"<&>')
    elements = Page(svg).elements
    assert elements[0][0] == "svg"
    assert elements[0][1]["xmlns"] == "http://www.w3.org/2000/svg"
    assert {"width", "height", "viewbox"} <= set(elements[0][1])
    assert elements[0][1]["aria-label"] == '"<&>'
    assert "var(--first, #2f6fb2)" in svg


def test_a_classifier_of_any_number_of_labels_is_shown_without_a_confusion_matrix():
    random = np.random.default_rng(0)
    has_label = random.random((40, 3)) < 0.5
    probabilities = {name: random.random((40, 3)) for name in ("model", "bag_of_words", "label_frequencies")}
    metrics = evaluate_multi_label(has_label, probabilities, random.random(40) < 0.5, CONFIG)
    result = EvaluationResult(
        {"model": "fine-tuned GPT", "bag_of_words": "linear SVMs", "label_frequencies": "label frequencies"},
        metrics.with_counts(n_training_examples=100, n_untrained_classes=0),
        {"strongest_baseline": "bag_of_words", "n_trained_labels": 3, "labels": ["a", "b", "c"], "temperature": 1.5},
    )
    page = render_report(replace(content("text"), classifier=EvaluationResult.from_json(result.as_json())), CONFIG)
    section = page[page.index('id="classifier"') : page.index('id="completion"')]
    assert "Micro F1" in section
    assert "linear SVMs" in section
    assert "Confusion" not in section
