"""How fast and how good the project is, beside what one would use instead: ``make bench``."""
