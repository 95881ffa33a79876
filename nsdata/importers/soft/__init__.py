"""Soft labels that somebody else made: read from their files, one kind a module."""
