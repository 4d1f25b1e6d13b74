"""The stack room: start, find, watch and stop everything that runs.

Depends on `labapp.errors` only (services of other rooms are started as commands, not imported).
"""
