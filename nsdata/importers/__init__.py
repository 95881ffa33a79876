"""Images brought in: a source is recognised, read, checked, and published as one event."""

from nsdata.importers.item import Item, Skipped

__all__ = ["Item", "Skipped"]
