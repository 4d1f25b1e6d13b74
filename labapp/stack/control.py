"""What the world's and the nodes' control APIs share on the client's side.

May depend on ``labapp.errors`` only; used by ``labapp.world``, ``labapp.node`` and whoever has to
know that a service is gone.
"""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from labapp.errors import LabError

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: trusts nobody.  httpx would read all of the system's authorities for
each new client, which takes 25 ms."""


class ControlClient:
    """Synchronous client of a control API.

    Args:
        name: of the service, for messages ("the world", "the node").
        url: its address.
        token: the stack's control token.
    """

    def __init__(self, name: str, url: str, token: str) -> None:
        self.name = name
        self.url = url
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(10.0, read=90.0),
            verify=NO_TLS,
            trust_env=False,  # a proxy of the environment must not stand between lab and stack
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; its JSON answer.

        Raises:
            LabError: the service refused (its own words), or is gone (``Gone``).
        """
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Gone(
                f"{self.name} does not answer ({type(error).__name__})",
                hint="look at `lab status` and `lab logs`; `lab up` starts what is missing",
            ) from error
        if answer.is_error:
            raise refusal(self.name, answer)
        return answer.json()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()


def refusal(name: str, answer: httpx.Response) -> LabError:
    """What to say of an error answer: the service's own words, where it is one of ours."""
    try:
        data = answer.json()
        return LabError(data["error"], hint=data.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        return LabError(f"{name} refused (status {answer.status_code})")


class Gone(LabError):
    """A service of the stack does not answer: an observer failed, so there is no verdict."""
