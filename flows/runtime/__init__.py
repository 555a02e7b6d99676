"""The infrastructure of the flows: servers, processes, logs, DVC and Prefect."""
