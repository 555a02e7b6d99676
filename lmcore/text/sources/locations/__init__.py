"""Where files are: on this machine, in installed packages, at addresses, on the Hugging Face hub."""
