"""Shade, which only types name."""


class Shade:
    """Shade."""
