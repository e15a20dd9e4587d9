"""Dagster resources: where things lie, and the child process that does the work of tensors."""
