"""Training: one loop for smoke and full runs, resumable at any step."""
