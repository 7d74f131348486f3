"""Tests of the way from tables to runs."""
