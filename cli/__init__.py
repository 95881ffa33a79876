"""The terminal: a command parses, calls one function, prints."""
