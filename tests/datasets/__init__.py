"""Tests of data sets: their formats, and how they are obtained."""
