"""Soft labels of a generation: written, sealed, read and checked."""
