"""Questions about stories in the format of bAbI: numbered lines, of which those with tabs are questions.

``N sentence`` or ``N question<TAB>answer<TAB>numbers of the supporting lines``; a story begins where N is 1.

Source: Weston et al. (2015), "Towards AI-Complete Question Answering", https://arxiv.org/abs/1502.05698.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.input_files.text_lines import text_lines
from lmcore.text.sources.rows.babi_tasks import task_of
from lmcore.text.sources.rows.nested_rows import Row


@dataclass
class _Story:
    """The sentences of a story by their numbers, its questions, and the rows and errors found in it so far."""

    sentences: dict[str, str] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)
    found: list[tuple[int, dict[str, str] | InputError]] = field(default_factory=list)

    def rows(self) -> Iterator[tuple[int, Row | InputError]]:
        """Every question with the task that the whole story belongs to, and the errors, in the order of their lines."""
        task = task_of(list(self.sentences.values()), self.questions)
        for line, row in self.found:
            yield line, row if isinstance(row, InputError) else {**row, "task": task}


def question_rows(file: InputFile) -> Iterator[tuple[int, Row | InputError]]:
    """Yield the line of each question, and a row with ``story`` (the sentences before it, a line each), ``question``,
    ``answer`` (several words are separated by a comma and a space), ``supporting`` (the sentences that the answer
    follows from, a line each) and ``task`` (see :func:`~lmcore.text.sources.rows.babi_tasks.task_of`).

    Raises:
        InputError: with its line, if the rest of the file cannot be read.
    """
    story = _Story()
    for line, content in text_lines(file):
        if isinstance(content, InputError):
            story.found.append((line, content))
            continue
        if not content.strip():
            continue
        number, _, text = content.strip().partition(" ")
        if not number.isdecimal() or not text:
            reason = f"the line begins with {number[:20]!r}, expected its number and text"
            story.found.append((line, InputError("wrong_type", reason)))
            continue
        if number == "1":
            yield from story.rows()
            story = _Story()
        question, *rest = (part.strip() for part in text.split("\t"))
        if not rest:
            story.sentences[number] = question
            continue
        story.questions.append(question)
        supporting = [story.sentences[name] for name in " ".join(rest[1:]).split() if name in story.sentences]
        row = {
            "story": "\n".join(story.sentences.values()),
            "question": question,
            "answer": ", ".join(rest[0].split(",")),
            "supporting": "\n".join(supporting),
        }
        story.found.append((line, row))
    yield from story.rows()
