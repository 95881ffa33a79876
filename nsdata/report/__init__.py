"""Draws or sums up what the floors below found, for people to look at, and changes nothing: sheets, report, doctor."""
