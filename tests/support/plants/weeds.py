"""Weeds: another file with a function `drink`."""


def drink(amount: float) -> float:
    """Drink all."""
    return 0.0


def spread(words: str) -> str:
    """Return words."""
    return words
