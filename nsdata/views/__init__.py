"""Which rows, and how often: numbered steps, pinned to a version."""
