"""How numbers are written for people."""


def percent(share: float) -> str:
    """Return a probability, 0..1, as `51.6%`."""
    return f"{share:.1%}"
