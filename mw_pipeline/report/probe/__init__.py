"""What the probes found, in charts and tables."""
