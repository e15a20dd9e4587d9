"""The tokenized dataset: labels from spans, Arrow files on disk, batches as a function of their number."""
