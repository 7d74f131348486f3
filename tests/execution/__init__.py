"""Tests of who makes runs, and of what survives when they die."""
