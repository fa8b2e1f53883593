"""A refund that a human approves before it runs.

Reads SESAME_API_KEY and SESAME_BROKER_URL; prints each step and its milliseconds. Arguments: the action
(default payments.refund), and a URL that the broker reports the decision to. Ends with 0 when the refund
ran and with 3 when it was denied.
"""

import sys
import time

from sesame_sdk import ApprovalDenied, require_approval

ACTION = sys.argv[1] if len(sys.argv) > 1 else "payments.refund"
CALLBACK_URL = sys.argv[2] if len(sys.argv) > 2 else None


class Steps:
    """Prints `name<TAB>milliseconds` for each step."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def done(self, name: str) -> None:
        now = time.perf_counter()
        print(f"{name}\t{(now - self.last) * 1000:.1f}", flush=True)
        self.last = now


steps = Steps()


@require_approval(
    ACTION,
    summary=lambda amount, **_: f"Refund ${amount / 100:.2f} to customer",
    reason="The customer was charged twice",
    severity="high",
    context="auto",
    callback_url=CALLBACK_URL,
    timeout=60,
)
def issue_refund(amount: int, customer_id: str) -> None:
    steps.done("approval granted")
    # Here the money moves.
    steps.done("operation run")


if __name__ == "__main__":
    try:
        issue_refund(4200, customer_id="cus_123")
    except ApprovalDenied:
        steps.done("approval denied")
        sys.exit(3)
