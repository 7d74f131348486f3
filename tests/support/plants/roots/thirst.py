"""How roots drink."""


def drink(amount: float) -> float:
    """Return how much is left."""
    return amount / 2
