"""Packages: export, quantisation, card, lineage and inspection."""
