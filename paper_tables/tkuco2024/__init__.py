"""Data and figures of tkuco2024."""
