"""Models in MLflow: logged with the code that serves them, registered, described, and read from the registry."""
