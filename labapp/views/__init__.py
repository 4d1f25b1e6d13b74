"""Views: what a reader sees of a run, as text that never changes and as HTML for Jupyter."""
