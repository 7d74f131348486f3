"""Tests of what shows and exports data sets."""
