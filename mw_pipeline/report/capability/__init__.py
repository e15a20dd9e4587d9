"""The page of a capability matrix."""
