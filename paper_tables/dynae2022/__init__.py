"""Data and figures of dynae2022."""
