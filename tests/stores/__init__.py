"""Stores as earlier versions wrote them, one folder for each format; every later version must open, diff and label
them."""
