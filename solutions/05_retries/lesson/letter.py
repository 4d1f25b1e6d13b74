"""What is kept of a task that has failed for good: all that it takes to send it again."""

import json
from typing import Any

KEY = "dead_letters"


def letter(task: str, task_id: str, args: Any, kwargs: Any, error: BaseException) -> str:
    """One dead letter."""
    return json.dumps(
        {
            "id": task_id,
            "task": task,
            "args": list(args or ()),
            "kwargs": dict(kwargs or {}),
            "error": repr(error),
        }
    )
