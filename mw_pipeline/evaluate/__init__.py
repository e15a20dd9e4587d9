"""Evaluation: predictions against gold, and every miss in a bucket."""
