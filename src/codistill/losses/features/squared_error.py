"""Mean squared error of features."""

from torch import Tensor


def squared_error(students: Tensor, sources: Tensor) -> Tensor:
    """Mean over samples and elements of (f_student - f_source)^2.

    Args:
        students: ``[E, B, ...]``.
        sources: the same shape.

    Returns: ``[E]``.
    """
    return (students - sources).square().flatten(1).mean(1)
