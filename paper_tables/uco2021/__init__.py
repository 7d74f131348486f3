"""Data and figures of uco2021."""
