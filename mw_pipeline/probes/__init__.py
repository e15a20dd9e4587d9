"""Forensics on a checkpoint: which loss term moves it, which stage breaks, which labels it can tell apart."""
