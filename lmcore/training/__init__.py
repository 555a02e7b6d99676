"""One loop for every gradient-trained model, with everything it needs to stop and resume."""
