"""The course: stages, their checks and diagnoses, and the notebooks that teach them.

At the top of the list: may depend on everything but ``labapp.cli``.
"""
