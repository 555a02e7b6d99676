"""The text of PDF files, page by page, extracted by pypdf; nothing in a file is executed."""

import logging

from lmcore.text.documents.document import InputError
from lmcore.text.sources.input_files.input_file import InputFile

INSTALL = "pip install pypdf"


def pdf_text(file: InputFile) -> str:
    """Extract the text of all pages, separated by blank lines.

    Raises:
        InputError: ``missing_package`` without pypdf, ``encrypted``, ``no_text`` for scanned pages,
            ``damaged_file`` and ``too_long``.
    """
    try:
        import pypdf
    except ImportError:
        raise InputError("missing_package", f"it is a PDF: to read it, {INSTALL}") from None
    # pypdf logs hundreds of warnings about a file that users cannot fix.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    texts: list[str] = []
    n_left = file.max_bytes
    with file.open_seekable() as stream:
        try:
            reader = pypdf.PdfReader(stream)
            if reader.is_encrypted and not reader.decrypt(""):
                raise InputError("encrypted", "it is encrypted: save it without a password")
            for page in reader.pages:
                texts.append(page.extract_text().strip())
                n_left -= len(texts[-1])
                if n_left < 0:
                    raise file.too_long("the text")
        except InputError:
            raise
        except Exception as error:  # A damaged file may raise anything.
            detail = f"page {len(texts) + 1} cannot be read: {' '.join(str(error).split()) or type(error).__name__}"
            raise InputError("damaged_file", detail) from error
    if not any(texts):
        detail = "its pages are scanned images: run OCR first, for example with OCRmyPDF"
        raise InputError("no_text", detail)
    return "\n\n".join(filter(None, texts))
