"""Lengths, in a file of their own beside the data set that takes them from here."""

INCH = 2.54
"""Centimetres in an inch."""
