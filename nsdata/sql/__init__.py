"""All that knows DuckDB: one table, read-only, in a process of its own."""
