"""The linguistic analysis of documents in several languages, with a trained pipeline for one of them if configured."""

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
    """Analyze each text by the rules of its language.

    Args:
        texts: the texts of the documents.
        languages: the language code of each text.
        pipeline: name or folder of a trained pipeline, which then also finds tokens and sentences; ``None`` for spaCy's
            rules alone.
        pipeline_language: the language of the trained pipeline.
        annotations: the annotations that the pipeline adds.

    Returns:
        A table of :data:`ANALYSIS_SCHEMA`, in the order of the texts.
    """
    parts, rows = [ANALYSIS_SCHEMA.empty_table()], list[int]()
    for language in sorted(set(languages)):
        own = [row for row, row_language in enumerate(languages) if row_language == language]
        chosen = [texts[row] for row in own]
        if pipeline is not None and language == pipeline_language:
            # Imported here because few configurations have a trained pipeline.
            from lmcore.text.linguistics.pipelines import annotate

            parts.append(annotate(chosen, pipeline, annotations))
        else:
            parts.append(analyze(chosen, language))
        rows += own
    return pa.concat_tables(parts).take(pa.array(np.argsort(rows), pa.int64()))
