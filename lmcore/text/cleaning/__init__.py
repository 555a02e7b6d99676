"""Filters, masks and deduplicates documents, and records why a document was dropped or changed."""
