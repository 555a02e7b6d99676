"""Rows of JSON, tables, Parquet, Arrow and CoNLL, and the values of their fields."""
