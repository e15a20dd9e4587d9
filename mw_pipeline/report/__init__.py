"""The evaluation report as one page for people."""
