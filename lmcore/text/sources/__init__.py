"""Sources: their files are located, opened and read into documents and read errors."""
