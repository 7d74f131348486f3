"""Tests of files that processes share."""
