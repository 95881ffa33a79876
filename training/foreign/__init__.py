"""Teachers that somebody else trained: files that are told apart and read without running code, functions, modules.

``kinds``, ``given`` and ``matching`` need no torch, so that a mistake need not wait for it.
"""
