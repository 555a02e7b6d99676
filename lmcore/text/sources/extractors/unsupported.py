"""Formats that are not supported: what they are, and what to do with such files."""

from lmcore.text.documents.document import InputError

ROWS = "holds rows, not a text: read it with `kind: records`"
OFFICE = "is an unsupported office document: save it as .docx or .txt"
SLIDES = "holds slides: save their text as .docx, .pdf or .txt"
TABLE = "holds a table: save it as .csv, and read it with `kind: records`"
BOOK = "is a book in an unsupported format: convert it to .epub or .pdf"
PICTURE = "is an image: if it shows text, run OCR first"
SOUND = "is audio or video: transcribe it first"
MARKUP = "is unsupported markup: convert it to text or HTML"
PROGRAM = "is a program or its binary data"
ENDINGS: dict[str, str] = {
    **dict.fromkeys(
        (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".avro", ".conll", ".conllu"),
        ROWS,
    ),
    **dict.fromkeys((".doc", ".dot", ".rtf", ".pages", ".wpd", ".wps"), OFFICE),
    **dict.fromkeys((".ppt", ".pptx", ".odp", ".key"), SLIDES),
    **dict.fromkeys((".xls", ".xlsx", ".xlsm", ".ods", ".numbers"), TABLE),
    **dict.fromkeys((".mobi", ".azw", ".azw3", ".fb2", ".djvu", ".chm", ".ps", ".eps"), BOOK),
    **dict.fromkeys(
        (".bmp", ".gif", ".heic", ".ico", ".jpeg", ".jpg", ".png", ".psd", ".svg", ".tif", ".tiff", ".webp"), PICTURE
    ),
    **dict.fromkeys((".avi", ".flac", ".m4a", ".mkv", ".mov", ".mp3", ".mp4", ".ogg", ".wav", ".webm", ".wma"), SOUND),
    **dict.fromkeys((".xml", ".rss", ".atom", ".mht", ".mhtml", ".msg", ".mbox", ".eml", ".warc", ".plist"), MARKUP),
    **dict.fromkeys((".bin", ".class", ".db", ".dll", ".exe", ".jar", ".o", ".pyc", ".so", ".sqlite"), PROGRAM),
    **dict.fromkeys((".npy", ".npz", ".pkl", ".pt", ".safetensors", ".otf", ".ttf", ".woff", ".woff2"), PROGRAM),
}
"""What to do, by the extension of a file."""
JULIA_OR_JSON = ".jl"
BEGINNINGS: dict[bytes, tuple[str, frozenset[str]]] = {
    b"%PDF-": ("a PDF", frozenset({".pdf"})),
    b"PK\3\4": ("a ZIP archive, an office document or a book", frozenset({".docx", ".docm", ".epub", ".odt"})),
    b"\xd0\xcf\x11\xe0": ("an old office document", frozenset({".docx", ".docm", ".odt"})),
    b"{\\rtf": ("an RTF document", frozenset()),
    b"\x1f\x8b": ("compressed with gzip", frozenset()),
    b"BZh91AY": ("compressed with bzip2", frozenset()),
    b"\xfd7zXZ": ("compressed with xz", frozenset()),
    b"\x28\xb5\x2f\xfd": ("compressed with Zstandard", frozenset()),
    b"7z\xbc\xaf": ("a 7z archive", frozenset()),
    b"Rar!": ("a RAR archive", frozenset()),
    b"\x89PNG": ("a picture", frozenset()),
    b"\xff\xd8\xff": ("a picture", frozenset()),
    b"GIF89a": ("a picture", frozenset()),
    b"\x7fELF": ("a program", frozenset()),
    b"SQLite format 3": ("a database", frozenset()),
    b"PAR1": ("a Parquet table", frozenset()),
}
"""The first bytes of formats, what they are, and the extensions under which they are supported."""


def refuse_unsupported_formats(ending: str, head: bytes) -> None:
    """Refuse a file that its extension or its first bytes show to be of an unsupported format.

    Raises:
        InputError: ``unknown_format``, with what it is and what to do.
    """
    if ending in ENDINGS:
        raise InputError("unknown_format", f"a {ending} file {ENDINGS[ending]}")
    if ending == JULIA_OR_JSON and head.lstrip().startswith(b"{"):
        raise InputError("unknown_format", f"this {ending} file {ROWS}")
    for beginning, (what, endings) in BEGINNINGS.items():
        if head.startswith(beginning) and ending not in endings:
            raise InputError("unknown_format", f"it is {what}, which its extension does not say: rename it")
