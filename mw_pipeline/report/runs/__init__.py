"""Training runs and verdicts on them, in charts and tables."""
