"""What an API answers to one request: its code, its body, and the one word that both come to.

Reads the same on every run.  Used by ``labapp.lab.front``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from labapp.lab.opened import masked

NO_ANSWER = "no answer"
WORDS = {404: "unknown", 410: "expired"}
"""What a status code says alone."""


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """What an API answered.

    Args:
        code: HTTP status; 0 where no answer came in time.
        body: the JSON in it, as Python sees it; its text where it is none.
        location: its ``Location`` header; empty for none.
    """

    code: int
    body: Any = None
    location: str = ""

    @property
    def word(self) -> str:
        """The status word: by the code, or else what the body says under ``status``."""
        if not self.code:
            return NO_ANSWER
        if self.code in WORDS:
            return WORDS[self.code]
        told = self.body.get("status") if isinstance(self.body, dict) else None
        return str(told) if told and self.code < 300 else str(self.code)

    def __repr__(self) -> str:
        if not self.code:
            return NO_ANSWER
        body = self.body if isinstance(self.body, str) else json.dumps(self.body)
        where = f"Location: {self.location}" if self.location else ""
        return masked("  ".join(part for part in (str(self.code), where, body) if part))


def ask(client: httpx.Client, method: str, url: str, body: Any = None) -> Reply:
    """One request, with this JSON in its body; a reply without a code where none came in time."""
    try:
        answer = client.request(method, url, json=body)
    except httpx.TransportError:
        return Reply(0)
    try:
        told = answer.json()
    except ValueError:
        told = answer.text.strip()
    return Reply(answer.status_code, told, answer.headers.get("Location", ""))
