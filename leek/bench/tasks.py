"""What is pushed."""


def noop() -> None:
    """Do nothing."""
