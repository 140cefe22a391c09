"""Labels as they are."""


def none() -> None:
    """No noise: labels as they are."""


__all__ = ["none"]
