"""The store at one version: its state, and its images as aligned columns."""
