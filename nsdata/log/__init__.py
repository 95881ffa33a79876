"""The event log: written, checked, and added up to the state of a version."""
