"""The iterated loop from one file: a plan of a teacher and its students, and what each of its steps depends on."""
