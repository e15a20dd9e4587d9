"""The stages of the line: each finds its inputs in the store by digest and builds, or reuses, one artifact."""
