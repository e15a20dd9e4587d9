"""Scores, intervals and calibration, as pure functions of outcomes."""
