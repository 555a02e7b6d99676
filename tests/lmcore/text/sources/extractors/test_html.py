import html
import re
from contextlib import suppress
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.text.documents.document import InputError
from lmcore.text.sources.extractors.html import main_text

WORD = re.compile(r"\w+")
INLINE = ("b", "code", "em", "a", "span", "kbd", "font", "sup", "mark")
BLOCKS = ("p", "h2", "h4", "blockquote", "div", "section", "article", "details", "figure", "address", "fieldset")
SENTENCE = "The keeper of the lighthouse counted each wave that came in before the evening fell."


class Page:
    """Pieces of HTML whose words are numbered in the order in which a reader sees them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw, self._numbers = draw, count()
        self.words: list[str] = []

    def word(self) -> str:
        self.words.append(f"word{next(self._numbers)}")
        return self.words[-1]

    def text(self) -> str:
        words = []
        for tag in self._draw(st.lists(st.sampled_from((*INLINE, "", "", "")), min_size=1, max_size=6)):
            word = self.word()
            words.append(f"<{tag} class='hljs-comment'>{word}</{tag}>" if tag else f"{word}&nbsp;&amp;")
        return self._draw(st.sampled_from((" ", "\n  ", "\t"))).join(words)

    def block(self, depth: int = 0) -> str:
        kind = self._draw(st.sampled_from(("list", "table", "terms", "code", "form", *BLOCKS)))
        if kind == "list":
            tag = self._draw(st.sampled_from(("ul", "ol")))
            end = self._draw(st.sampled_from(("</li>", "")))
            items = [f"<li>{self.text()}{self._nested(depth)}{end}" for _ in range(3)]
            return f"<{tag}>{''.join(items)}</{tag}>"
        if kind == "table":
            rows = [f"<tr><th>{self.text()}</th><td>{self.text()}{self._nested(depth)}" for _ in range(2)]
            return f"<table><tbody>{''.join(rows)}</tbody></table>"
        if kind == "terms":
            return f"<dl><dt>{self.text()}<dd>{self.text()}{self._nested(depth)}<dt>{self.text()}</dl>"
        if kind == "code":
            return f"<pre>  {self.word()}(\n    {self.word()} &lt; <i>{self.word()}</i>)\n</pre>"
        if kind == "form":
            legend, name = self.text(), self.word()
            fields = f"<label>{name}</label><input value='x'><label>{self.word()} <textarea></textarea></label>"
            return f"<form><legend>{legend}</legend>{fields}<button>{self.word()}</button></form>"
        return f"<{kind}>{self.text()}{self._nested(depth) if kind != 'p' else ''}</{kind}>"

    def _nested(self, depth: int) -> str:
        return self.block(depth + 1) if depth < 3 and self._draw(st.booleans()) else ""


@given(st.data())
def test_every_word_of_a_page_comes_out_in_its_order(data: st.DataObject) -> None:
    page = Page(data.draw)  # type: ignore[arg-type]
    blocks = "".join(page.block() for _ in range(data.draw(st.integers(1, 5))))
    menu = "".join(f"<li><a href='/{name}'>menu {name}</a></li>" for name in ("home", "shop", "about"))
    content = f"<html><head><title>title</title></head><body><nav><ul>{menu}</ul></nav>{blocks}<footer>footer</footer>"
    assert WORD.findall(main_text(content.encode())) == page.words


def test_structure_becomes_lines() -> None:
    page = f"""<h1>Waves</h1><p>{SENTENCE}<br>{SENTENCE}</p>
    <ul><li>one <ul><li><p>two</p><p>more</p></ul><li>three <code>a  b</code><li></ul>Behind
    <pre>\ndef f():\n\n    return <b>1</b>\n</pre>
    <table><tr><th>a</th> <th>b</th></tr><tr><td>1</td><td>2</td></tr></table><dl><dt>term<dd>what it means</dl>"""
    assert main_text(page.encode()) == (
        f"Waves\n\n{SENTENCE}\n{SENTENCE}\n\n- one\n  - two\nmore\n- three a b\n\nBehind\n\n"
        "def f():\n\n    return 1\n\na | b\n1 | 2\n\nterm\nwhat it means"
    )


AROUND = {
    "an element": "<nav>{}</nav>",
    "a menu in the header": "<header><a href='/'>{}</a></header>",
    "a footer": "<footer><p>{}</p></footer>",
    "a side bar": "<aside>{}</aside>",
    "a role": "<div role='navigation'>{}</div>",
    "a search form": "<form role=search>{}<button>{}</button></form>",
    "a cookie banner": "<div id='cookieConsent' class='x'><p>{}</p><button>{}</button></div>",
    "a dialog": "<dialog open>{}</dialog>",
    "a class": "<div class='site-footer dark'>{}</div>",
    "a side bar by name": "<div class='sphinxsidebar'><div class=sphinxsidebarwrapper><p>{}</p></div></div>",
    "an id": "<ul id='main-nav'><li>{}</li></ul>",
    "comments": "<div class='comments'><p>{}</p></div>",
    "a link to what is read anyway": "<a class='skip-link' href='#text'>{}</a>",
    "links alone": "<table><tr><td><a href='/'>{}</a> <a href='/a'>{}</a> <a href='/b'>{}</a></td></tr></table>",
    "a script": "<script>var {} = 1;</script><style>.{} {{}}</style><noscript>{}</noscript><template>{}</template>",
    "hidden": "<div hidden>{}</div><p style='color: red; display:none'>{}</p><i aria-hidden='true'>{}</i>",
    "a comment": "<!-- {} --><?xml {} ?>",
    "a button": "<button>{}</button>",
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("body", ["<main>%s</main>", "<div><article>%s</article></div>", "<div>%s</div>"])
def test_what_is_around_the_text_stays_out(around: str, body: str) -> None:
    text = f"<h1>Waves</h1><p>{SENTENCE}</p><p>{SENTENCE}</p>"
    page = f"<body>{around.format(*['NOISE'] * 4)}{body % text}tail</body>"
    found = main_text(page.encode())
    assert "NOISE" not in found
    assert found.count(SENTENCE) == 2
    assert found.startswith("Waves")


def test_names_that_mark_most_of_a_page_mark_its_text() -> None:
    dishes = "".join(f"<div class='menu-item'><p>dish{number} with its sauce</p></div>" for number in range(9))
    cards = "".join(f"<div class='card-header'>card{number}</div><p>{SENTENCE}</p>" for number in range(3))
    found = main_text(f"<h1>Menu</h1>{dishes}".encode()) + main_text(f"<div>{cards}</div>".encode())
    assert all(f"dish{number}" in found for number in range(9))
    assert all(f"card{number}" in found for number in range(3))


@pytest.mark.parametrize(
    "page",
    [
        "<ul>{}</ul>",
        "<body><nav>{}</nav></body>",
        "<h1>w</h1><ul class=menu>{}</ul>",
        "<div id=sidebar><div class=content><p>{}</p></div></div>",
        "<header><h1>w</h1><p>{}</p></header>",
        "<p>{}",
        "<body><table><tr><td>{}<td></b></i>",
        "{}",
        "<frameset><frame src=a.html><noframes>{}</noframes></frameset>",
        "<blockquote>w<footer>{}</footer></blockquote>",
        "<article><header>{}</header></article>",
        "<section><h2><button>w</button></h2><details><summary>w</summary>{}</details></section>",
    ],
)
def test_the_text_is_kept_wherever_it_is(page: str) -> None:
    words = "".join(f"<li><a href='/{number}'>word{number}</a> " for number in range(30))
    found = WORD.findall(main_text(page.format(words).encode()))
    assert [word for word in found if word != "w"] == [f"word{number}" for number in range(30)]
    assert found.count("w") == page.count("w</") + page.count(">w<footer")


def test_a_page_of_frames_names_the_files_that_hold_its_text() -> None:
    with pytest.raises(InputError, match=r"only frames; its text is in left\.html, right\.html") as error:
        main_text(b"<frameset cols='1,2'><frame src=left.html><frame src='right.html'></frameset>")
    assert error.value.reason == "frameset"


@pytest.mark.parametrize("encoding", ["shift_jis", "iso2022_jp", "euc_jp", "utf-8", "cp932"])
def test_the_declared_encoding_is_the_one_read(encoding: str) -> None:
    text = "灯台守は毎晩、波を数えた。"
    page = f"<meta charset={encoding}><p>{text}&eacute;&#8364;</p>".encode(encoding)
    assert main_text(page) == f"{text}é€"


def test_an_encoding_that_is_not_declared_is_detected() -> None:
    text = "Смотритель маяка каждый вечер считал волны и записывал их число в книгу. " * 5
    assert main_text(f"<p>{text}</p>".encode("windows-1251")) == text.strip()


WIDE_TEXTS = (
    "Рано утром он пошёл к реке и увидел лодку.",
    "It\u2019s 100 or 2000 pages; that\u2019s all.",
    "वह सुबह नदी के किनारे गया और एक नाव देखी।",
    "清晨他走到河边。看见了一只小船。船上没有人。",
    "او صبح زود به کنار رودخانه می\u200cرود و قایقی می\u200cبیند.",
)


@pytest.mark.parametrize("text", WIDE_TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("head", ["", "<meta charset=utf-8>", "<meta charset=windows-1252>\n"])
def test_wide_characters_are_known_without_a_mark_whatever_is_declared(text: str, encoding: str, head: str) -> None:
    page = f"{head}<title>Page</title><p>{text}</p>".encode(encoding)
    assert main_text(page) == text


def test_wide_characters_that_are_not_surely_read_are_a_read_error() -> None:
    for text in (*WIDE_TEXTS, "plain"):
        with pytest.raises(InputError) as raised:
            main_text(f"<p>{text} \ue000</p>".encode("utf-16-le"))
        assert raised.value.reason in ("not_text", "not_unicode")
    with pytest.raises(InputError, match="is not utf-16-le"):
        main_text(f"<p>{WIDE_TEXTS[0]}</p>".encode("utf-16-le") + b"x")
    assert main_text(b"<p>one slip \0 " + b"in many words " * 20 + b"</p>").startswith("one slip")


@pytest.mark.parametrize("head", ["", "<meta charset=utf-8>", "<meta charset=shift_jis>", "<meta charset=iso-2022-jp>"])
def test_japanese_escapes_are_known_whatever_is_declared(head: str) -> None:
    text = "朝早くに彼は川へ行った。そこには小さな船があった。"
    assert main_text(f"{head}<p>{text}</p>".encode("iso2022_jp")) == text
    with pytest.raises(InputError, match="is not ISO-2022-JP"):
        main_text("<p>배가</p>".encode("iso2022_kr"))
    assert main_text("<p>é \x1b$</p>".encode()).startswith("é")
    assert main_text("<meta charset=iso-2022-kr><p>배가</p>".encode("iso2022_kr")) == "배가"


@given(st.binary(max_size=300) | st.text(st.sampled_from("<>/aplib &;#x1\n'\"=-!"), max_size=200).map(str.encode))
def test_broken_pages_never_end_the_reading(page: bytes) -> None:
    with suppress(InputError):
        main_text(page)


def test_text_is_not_taken_for_elements() -> None:
    text = "if a < b && c > d: 'x' \u00a0 \U0001f30a"
    assert main_text(f"<pre>{html.escape(text)}</pre>".encode()) == text
