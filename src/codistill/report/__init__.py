"""What a study found, for people: a table for the terminal, plots, one self-contained page."""

from pathlib import Path


def write(folder: str | Path) -> Path:
    """Write the report of a folder, as ``codistill report`` does: of a run, of a comparison or of several.

    Returns: the page's path, ``report.html`` in the folder.

    Raises:
        FileNotFoundError: nothing of these is there, or a comparison is not finished.
    """
    from codistill.report import writing  # the plotting library is imported by whoever writes a page

    return writing.write(Path(folder))
