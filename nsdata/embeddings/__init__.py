"""Writes and reads the vectors that models make of images: columns of the store, one vector per image."""
