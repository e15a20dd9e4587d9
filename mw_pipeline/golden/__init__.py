"""Gold rows: reading them, their rules, and whether every value can be reached."""
