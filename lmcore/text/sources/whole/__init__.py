"""Documents that are not plain text: what each format says, and nothing of what it could do."""
