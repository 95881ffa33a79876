"""The plug is pulled: real processes are killed, stopped and raced, files damaged, rubbish handed in.

``pytest`` runs a short deterministic part (the test_*.py here). ``python -m tests.faults --kills 500`` runs the long
campaign and ends with a table; benchmarks/RESULTS.md keeps one.
"""
