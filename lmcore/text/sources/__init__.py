"""From where documents lie to documents: the readers of every kind of source."""
