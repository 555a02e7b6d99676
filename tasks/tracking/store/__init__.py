"""The tracking store: MLflow's server or its database file, and the experiment in it."""
