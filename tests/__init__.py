"""Tests: a folder for each room of benchmark/ and for each kind of plug-in; `support/` is what tests share."""
