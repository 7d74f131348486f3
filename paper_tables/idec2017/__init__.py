"""Data and figures of idec2017."""
