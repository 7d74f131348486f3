"""Tests of the formulas that measure."""
