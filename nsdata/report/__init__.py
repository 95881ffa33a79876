"""Draws or sums up what the floors below found, and changes nothing: the doctor."""
