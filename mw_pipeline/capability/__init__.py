"""The capability matrix: what a parser can read, cell by cell, on places and streets that training never saw."""
