"""The linguistic analysis of documents of several languages, by trained pipelines where there are some."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lmcore.config.clean import Annotation
from lmcore.text.documents.document import ANALYSIS_SCHEMA
from lmcore.text.words.analysis import analyze


def analyze_documents(
    texts: Sequence[str],
    languages: Sequence[str],
    *,
    pipeline: str | None,
    pipeline_language: str,
    annotations: Sequence[Annotation],
) -> pa.Table:
    """Analyze texts of several languages, each by the rules of its own.

    Args:
        texts: of documents.
        languages: of each of them.
        pipeline: a trained one for ``pipeline_language``, which then gives tokens and sentences, too.
        pipeline_language: the one language whose texts it reads.
        annotations: what it is to tell besides.

    Returns:
        Columns of :data:`ANALYSIS_SCHEMA`, in the order of the texts.
    """
    parts, rows = [ANALYSIS_SCHEMA.empty_table()], list[int]()
    for language in sorted(set(languages)):
        own = [row for row, its_language in enumerate(languages) if its_language == language]
        chosen = [texts[row] for row in own]
        if pipeline is not None and language == pipeline_language:
            # Few have a trained pipeline.
            from lmcore.text.linguistics.pipelines import annotate

            parts.append(annotate(chosen, pipeline, annotations))
        else:
            parts.append(analyze(chosen, language))
        rows += own
    return pa.concat_tables(parts).take(pa.array(np.argsort(rows), pa.int64()))
