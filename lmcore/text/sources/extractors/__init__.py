"""The text of web pages, books, office documents, notebooks and PDF files."""
