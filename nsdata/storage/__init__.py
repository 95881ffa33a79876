"""Bytes at an address, read and written: the one door to Deep Lake, small files, buckets, locks."""
