"""Answers about labels, which change nothing: what differs between versions, all that is known of one image."""
