"""Tests of what turns stored records into values of tables."""
