"""Rows written out, one format a module."""
