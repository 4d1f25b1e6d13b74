"""Says what Celery says, in other words: PENDING is queued.

This is the API of many articles.  PENDING is what Celery says of an id without a result.
"""

from typing import Any

from fastapi import Body, FastAPI, Response

from shop import charge

app = FastAPI()

WORDS = {"PENDING": "queued", "STARTED": "running", "SUCCESS": "done", "FAILURE": "failed"}


@app.post("/orders", status_code=202)
def accept(response: Response, order: str = Body(embed=True)) -> dict[str, str]:
    """Take an order."""
    result = charge.delay(order)
    response.headers["Location"] = f"/orders/{result.id}"
    return {"id": result.id}


@app.get("/orders/{task_id}")
def read(task_id: str) -> dict[str, Any]:
    """How the order is doing."""
    result = charge.AsyncResult(task_id)
    told = {"status": WORDS.get(result.state, "running")}
    if result.successful():
        told["result"] = result.result
    return told
