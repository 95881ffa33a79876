"""One kind of source a module: each yields items, and what it had to skip."""
