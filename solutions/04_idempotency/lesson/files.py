"""What the shops of this lesson that keep files share: where they lie, and what is in them."""

import os

INVOICE = b"one night, breakfast included\n" * 500


def place_of(name):
    """Where the file of this name lies, for PUT, HEAD and MOVE."""
    partner = os.environ.get("PARTNER_URL", "http://localhost:8000/live")
    return f"{partner}/files/{name}"
