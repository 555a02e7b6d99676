"""lmcore: text in, language models and numbers out; plain PyTorch and Python, no orchestration."""
