"""The machinery under the flows: servers, processes, logs, DVC and Prefect."""
