"""LIME for site backends: create login requests, receive agent passports, verify them.

>>> from lime_sites import LimeSite
"""

from lime_sdk._errors import (
    ApiError,
    AuthenticationError,
    InvalidPassportError,
    LimeError,
    LoginTimeoutError,
    PassportExpiredError,
    RateLimitError,
    RequestExpiredError,
)
from lime_sdk._native import VERSION as __version__
from lime_sites._site import LimeSite
from lime_sites._types import (
    LoginRequestResult,
    LoginRequestStatus,
    LoginResult,
    PassportVerificationResult,
    StreamStatus,
)

__all__ = [
    "ApiError",
    "AuthenticationError",
    "InvalidPassportError",
    "LimeError",
    "LimeSite",
    "LoginRequestResult",
    "LoginRequestStatus",
    "LoginResult",
    "LoginTimeoutError",
    "PassportExpiredError",
    "PassportVerificationResult",
    "RateLimitError",
    "RequestExpiredError",
    "StreamStatus",
    "__version__",
]
