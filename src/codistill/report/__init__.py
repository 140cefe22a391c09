"""What a study found, for people: a table for the terminal, plots, one self-contained page."""
