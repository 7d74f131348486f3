"""Data of dtkc2019."""
