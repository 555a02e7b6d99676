"""Questions on stories in the format of bAbI: numbered lines, of which those with tabs are questions.

``N sentence`` or ``N question<TAB>answer<TAB>numbers of the supporting lines``; a story begins where N is 1.

Source: Weston et al. (2015), "Towards AI-Complete Question Answering", https://arxiv.org/abs/1502.05698.
"""

from collections.abc import Iterator

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.input_files.text_lines import text_lines
from lmcore.text.sources.rows.nested_rows import Row


def question_rows(file: InputFile) -> Iterator[tuple[int, Row | InputError]]:
    """Yield the line of each question, and a row with ``story`` (the sentences before it, a line each), ``question``,
    ``answer`` and ``supporting`` (the sentences that the answer follows from, a line each).

    Raises:
        InputError: with its line, if the rest of the file cannot be read.
    """
    story: dict[str, str] = {}
    for line, content in text_lines(file):
        if isinstance(content, InputError):
            yield line, content
            continue
        if not content.strip():
            continue
        number, _, text = content.strip().partition(" ")
        if not number.isdecimal() or not text:
            yield line, InputError("wrong_type", f"the line begins with {number[:20]!r}, expected its number and text")
            continue
        if number == "1":
            story = {}
        question, *rest = (part.strip() for part in text.split("\t"))
        if not rest:
            story[number] = question
            continue
        supporting = [story[name] for name in " ".join(rest[1:]).split() if name in story]
        yield (
            line,
            {
                "story": "\n".join(story.values()),
                "question": question,
                "answer": rest[0],
                "supporting": "\n".join(supporting),
            },
        )
