"""Receives the broker's webhooks with Flask.

Reads SESAME_WEBHOOK_SECRET; prints its address, then a line for each delivery.
"""

import os

from flask import Flask, abort, request
from werkzeug.serving import make_server

from sesame_sdk import ReplayGuard, WebhookVerificationError, verify_webhook

SECRET = os.environ["SESAME_WEBHOOK_SECRET"]

app = Flask(__name__)
# The timestamp of a webhook is not signed: without a guard, whoever has seen one could send it again.
guard = ReplayGuard()


@app.post("/sesame/webhook")
def sesame_webhook() -> tuple[str, int]:
    raw = request.get_data()  # the exact bytes that the broker signed
    try:
        payload = verify_webhook(request.headers, raw, SECRET, replay_guard=guard)
    except WebhookVerificationError as error:
        if error.reason == "replayed":  # the broker repeats what it had no answer to: it has been handled
            print("webhook repeated", flush=True)
            return "", 204
        print(f"webhook refused\t{error.reason}", flush=True)
        abort(400)
    print(f"webhook verified\t{payload['approval_id']} {payload['status']}", flush=True)
    return "", 204


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app)
    print(f"listening\thttp://127.0.0.1:{server.server_port}/sesame/webhook", flush=True)
    server.serve_forever()
