"""Sesame: a human approves a sensitive operation before it runs.

>>> from sesame_sdk import require_approval
"""

from lime_sdk._lazy import loader

TYPE_CHECKING = False  # typing itself would be most of what this import costs
if TYPE_CHECKING:
    from lime_sdk._native import VERSION as __version__
    from lime_sdk._progress import WaitProgress
    from sesame_sdk.approval import Approval, AsyncApproval
    from sesame_sdk.client import AsyncSesame, Sesame
    from sesame_sdk.decorator import require_approval
    from sesame_sdk.exceptions import (
        ApprovalDenied,
        ApprovalError,
        ApprovalTimeout,
        NotFoundError,
        OutcomeUnknownError,
        SesameAuthError,
        SesameConnectionError,
        SesameRateLimitError,
        SesameTimeoutError,
        WebhookBodyError,
        WebhookVerificationError,
    )
    from sesame_sdk.models import ApprovalState, TriggerResponse, WebhookPayload
    from sesame_sdk.webhook import ReplayGuard, sign_webhook, verify_webhook

# Importing the package loads nothing; the first use of a name loads the module that has it.
_MODULES = {
    "Approval": "sesame_sdk.approval",
    "ApprovalDenied": "sesame_sdk.exceptions",
    "ApprovalError": "sesame_sdk.exceptions",
    "ApprovalState": "sesame_sdk.models",
    "ApprovalTimeout": "sesame_sdk.exceptions",
    "AsyncApproval": "sesame_sdk.approval",
    "AsyncSesame": "sesame_sdk.client",
    "NotFoundError": "sesame_sdk.exceptions",
    "OutcomeUnknownError": "sesame_sdk.exceptions",
    "ReplayGuard": "sesame_sdk.webhook",
    "Sesame": "sesame_sdk.client",
    "SesameAuthError": "sesame_sdk.exceptions",
    "SesameConnectionError": "sesame_sdk.exceptions",
    "SesameRateLimitError": "sesame_sdk.exceptions",
    "SesameTimeoutError": "sesame_sdk.exceptions",
    "TriggerResponse": "sesame_sdk.models",
    "WaitProgress": "lime_sdk._progress",
    "WebhookBodyError": "sesame_sdk.exceptions",
    "WebhookPayload": "sesame_sdk.models",
    "WebhookVerificationError": "sesame_sdk.exceptions",
    "__version__": "lime_sdk._native:VERSION",
    "require_approval": "sesame_sdk.decorator",
    "sign_webhook": "sesame_sdk.webhook",
    "verify_webhook": "sesame_sdk.webhook",
}

__all__ = [
    "Approval",
    "ApprovalDenied",
    "ApprovalError",
    "ApprovalState",
    "ApprovalTimeout",
    "AsyncApproval",
    "AsyncSesame",
    "NotFoundError",
    "OutcomeUnknownError",
    "ReplayGuard",
    "Sesame",
    "SesameAuthError",
    "SesameConnectionError",
    "SesameRateLimitError",
    "SesameTimeoutError",
    "TriggerResponse",
    "WaitProgress",
    "WebhookBodyError",
    "WebhookPayload",
    "WebhookVerificationError",
    "__version__",
    "require_approval",
    "sign_webhook",
    "verify_webhook",
]

_SUBMODULES = ("approval", "approvals", "client", "decorator", "exceptions", "models", "webhook")

if not TYPE_CHECKING:  # which would take any name for one of the package's
    __getattr__, __dir__ = loader(globals(), _MODULES, _SUBMODULES)
