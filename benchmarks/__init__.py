"""Speed, memory and quality compared with the libraries that one would use instead: ``make bench``."""
