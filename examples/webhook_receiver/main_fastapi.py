"""Receives the broker's webhooks with FastAPI.

Reads SESAME_WEBHOOK_SECRET; prints its address, then a line for each delivery.
"""

import os
import socket

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

from sesame_sdk import ReplayGuard, WebhookVerificationError, verify_webhook

SECRET = os.environ["SESAME_WEBHOOK_SECRET"]

app = FastAPI()
# The timestamp of a webhook is not signed: without a guard, whoever has seen one could send it again.
guard = ReplayGuard()


@app.post("/sesame/webhook")
async def sesame_webhook(request: Request) -> Response:
    raw = await request.body()  # the exact bytes that the broker signed
    try:
        payload = verify_webhook(request.headers, raw, SECRET, replay_guard=guard)
    except WebhookVerificationError as error:
        if error.reason == "replayed":  # the broker repeats what it had no answer to: it has been handled
            print("webhook repeated", flush=True)
            return Response(status_code=204)
        print(f"webhook refused\t{error.reason}", flush=True)
        raise HTTPException(status_code=400, detail="bad signature") from error
    print(f"webhook verified\t{payload['approval_id']} {payload['status']}", flush=True)
    return Response(status_code=204)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        print(f"listening\thttp://127.0.0.1:{port}/sesame/webhook", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
