"""Texts: rows of tables, tokenizers, token ids, word vectors."""
