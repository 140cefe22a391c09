"""What the terms of a loss are called where people read them."""

NAMES = {"mimic": "imitation"}  # what methods and logs call a term, and what it is called here; others keep their name


def called(term: str) -> str:
    """A term's name: ``mimic`` is the imitation."""
    return NAMES.get(term, term)


def loss_name(term: str) -> str:
    """``the imitation loss``, ``the task loss``, without the article."""
    return f"{called(term)} loss"
