"""The training loop of every gradient-trained model, and what it needs to stop and resume."""
