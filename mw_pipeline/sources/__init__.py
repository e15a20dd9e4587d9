"""Raw formats: one module per upstream format, found by name in `registry`."""
