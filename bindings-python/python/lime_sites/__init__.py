"""LIME for site backends: create login requests, receive agent passports, verify them.

>>> from lime_sites import LimeSite
"""

from lime_sdk._lazy import loader

TYPE_CHECKING = False  # typing itself would be most of what this import costs
if TYPE_CHECKING:
    from lime_sdk._errors import (
        ApiError,
        AuthenticationError,
        InvalidPassportError,
        LimeError,
        LoginTimeoutError,
        OutcomeUnknownError,
        PassportExpiredError,
        RateLimitError,
        RequestExpiredError,
        SiteAuthUnavailableError,
    )
    from lime_sdk._native import VERSION as __version__
    from lime_sdk._progress import WaitProgress
    from lime_sites._site import (
        LimeSite,
    )
    from lime_sites._sync import (
        SyncLimeSite,
    )
    from lime_sites._types import (
        BindingRequestResult,
        LoginRequestResult,
        LoginRequestStatus,
        LoginResult,
        PassportVerificationResult,
        StreamStatus,
    )

# Importing the package loads nothing; the first use of a name loads the module that has it.
_MODULES = {
    "ApiError": "lime_sdk._errors",
    "AuthenticationError": "lime_sdk._errors",
    "InvalidPassportError": "lime_sdk._errors",
    "LimeError": "lime_sdk._errors",
    "LoginTimeoutError": "lime_sdk._errors",
    "OutcomeUnknownError": "lime_sdk._errors",
    "PassportExpiredError": "lime_sdk._errors",
    "RateLimitError": "lime_sdk._errors",
    "RequestExpiredError": "lime_sdk._errors",
    "SiteAuthUnavailableError": "lime_sdk._errors",
    "WaitProgress": "lime_sdk._progress",
    "__version__": "lime_sdk._native:VERSION",
    "LimeSite": "lime_sites._site",
    "SyncLimeSite": "lime_sites._sync",
    "BindingRequestResult": "lime_sites._types",
    "LoginRequestResult": "lime_sites._types",
    "LoginRequestStatus": "lime_sites._types",
    "LoginResult": "lime_sites._types",
    "PassportVerificationResult": "lime_sites._types",
    "StreamStatus": "lime_sites._types",
}

__all__ = [
    "ApiError",
    "AuthenticationError",
    "BindingRequestResult",
    "InvalidPassportError",
    "LimeError",
    "LimeSite",
    "LoginRequestResult",
    "LoginRequestStatus",
    "LoginResult",
    "LoginTimeoutError",
    "OutcomeUnknownError",
    "PassportExpiredError",
    "PassportVerificationResult",
    "RateLimitError",
    "RequestExpiredError",
    "SiteAuthUnavailableError",
    "StreamStatus",
    "SyncLimeSite",
    "WaitProgress",
    "__version__",
]

if not TYPE_CHECKING:  # which would take any name for one of the package's
    __getattr__, __dir__ = loader(globals(), _MODULES)
