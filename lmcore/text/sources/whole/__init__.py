"""Documents that are not plain text: extracts their text and runs nothing in them."""
