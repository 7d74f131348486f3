"""Tests of what makes stored runs again."""
