"""Deep roots."""

FLOW = 0.25


def depth_of(years: float) -> float:
    """Return a depth."""
    return years / 10
