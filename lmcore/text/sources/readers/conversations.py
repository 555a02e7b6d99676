"""Files whose rows are conversations, or questions with a better and a worse answer."""

from collections.abc import Iterator

from lmcore.config.readers import Conversations
from lmcore.text.documents.document import Document, InputError, ReadError
from lmcore.text.sources.input_files.input_file import InputFile
from lmcore.text.sources.readers.records import rows_of_file
from lmcore.text.sources.rows.dialogue_rows import dialogue_of


def read_conversations(file: InputFile, reader: Conversations) -> Iterator[Document | ReadError]:
    """Yield a document per row, in the order of the rows; a broken conversation is a read error that says why.

    Raises:
        InputError: with its line, if the rest of the file cannot be read.
    """
    for line, row in rows_of_file(file, reader, None):
        if isinstance(row, InputError):
            yield file.read_error(row, line)
            continue
        try:
            found = dialogue_of(row)
        except InputError as error:
            yield file.read_error(error, line)
        else:
            yield file.document(
                found.text,
                kind="conversation",
                line=line,
                target=found.target,
                messages=found.messages,
                rejected=found.rejected,
            )
