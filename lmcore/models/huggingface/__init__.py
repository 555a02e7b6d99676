"""Models from folders of Hugging Face ``transformers``, and folders for it."""
