"""The Dagster graph: thin assets and checks over `mw_pipeline`, one module per stage."""
