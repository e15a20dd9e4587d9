"""The page of an audit of sources."""
