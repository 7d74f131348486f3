"""Leaves."""

AREA = 2.0
COLOUR = "green"
