"""Images: decoding and sizing, class folders, and files that are read batch by batch."""
