"""A running JupyterLab as a browser sees it: pages, and kernels by websocket.

Also a program, for a JupyterLab that only listens within its container:

    python jupyter_bench.py ADDRESS TOKEN [HOST]

runs the first experiment of notebook 00 in a kernel of this JupyterLab, and prints its verdict.
HOST is what a forwarding proxy puts into the headers Host and Origin.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
from websocket import WebSocket, create_connection

NOTEBOOK = Path("notebooks/00_start_here.ipynb")
SECONDS = 120.0


class Jupyter:
    """One JupyterLab; `root` is its address, with a slash at the end."""

    def __init__(self, root: str, token: str, host: str = "") -> None:
        self.root, self.token, self.host = root, token, host
        headers = {"Authorization": f"token {token}"}
        if host:
            headers |= {"Host": host, "Origin": f"http://{host}"}
        self.client = httpx.Client(base_url=root, headers=headers, timeout=SECONDS)

    def __enter__(self) -> Jupyter:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def without_token(self, path: str) -> httpx.Response:
        """A page as a stranger gets it; redirects are shown as they are."""
        return httpx.get(self.root + path, timeout=SECONDS)

    def run(self, cells: list[str], notebook: Path = NOTEBOOK) -> str:
        """What the last of these cells says, run in a kernel of its own for this notebook."""
        body = {
            "path": str(notebook),
            "type": "notebook",
            "name": "",
            "kernel": {"name": "python3"},
        }
        answer = self.client.post("api/sessions", json=body)
        assert answer.status_code == 201, answer.text
        session = answer.json()
        try:
            with closing(self._channels(session["kernel"]["id"])) as socket:
                said = [execute(socket, cell) for cell in cells]
        finally:
            self.client.delete(f"api/sessions/{session['id']}")
        return said[-1]

    def _channels(self, kernel: str) -> WebSocket:
        address = f"ws{self.root.removeprefix('http')}api/kernels/{kernel}/channels"
        names = {"host": self.host, "origin": f"http://{self.host}"} if self.host else {}
        header = [f"Authorization: token {self.token}"]
        socket: WebSocket = create_connection(address, timeout=SECONDS, header=header, **names)
        return socket


def execute(socket: WebSocket, code: str) -> str:
    """Run one cell; what it prints, and its result.

    Raises:
        AssertionError: it raised.
    """
    name = uuid.uuid4().hex
    header = {"msg_id": name, "msg_type": "execute_request", "session": name, "username": "me"}
    content = {"code": code, "silent": False, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    socket.send(json.dumps({**message, "channel": "shell"}))
    said = ""
    for kind, found in answers(socket, name):
        assert kind != "error", "\n".join(found["traceback"])
        said += found.get("text", "") if kind == "stream" else ""
        said += found["data"]["text/plain"] if kind == "execute_result" else ""
    return said


def answers(socket: WebSocket, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kind and content of what comes back for one message, until the kernel is idle again."""
    while True:
        message = json.loads(socket.recv())
        kind, content = message["header"]["msg_type"], message["content"]
        if message["parent_header"].get("msg_id") != name:
            continue
        if kind == "status" and content["execution_state"] == "idle":
            return
        yield kind, content


def first_experiment(project: Path) -> tuple[list[str], str]:
    """The code cells of notebook 00 up to its first experiment, and the verdict stored there."""
    cells = [
        cell
        for cell in json.loads((project / NOTEBOOK).read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    last = next(
        number for number, cell in enumerate(cells) if "lab.run(" in "".join(cell["source"])
    )
    (output,) = cells[last]["outputs"]
    stored = "".join(output["data"]["text/plain"])
    return ["".join(cell["source"]) for cell in cells[: last + 1]], stored


def main(root: str, token: str, host: str = "") -> None:
    """As the module says."""
    with Jupyter(root, token, host) as jupyter:
        print(jupyter.run(first_experiment(Path())[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
