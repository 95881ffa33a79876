"""What changes or removes what a store holds: people's edits, undo, gc, purge."""
