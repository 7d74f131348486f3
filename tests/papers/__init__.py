"""Tests of papers as data: what each declares, and what its tables show."""
