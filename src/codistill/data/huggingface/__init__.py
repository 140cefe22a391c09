"""Data sets of the Hugging Face `datasets` library."""
