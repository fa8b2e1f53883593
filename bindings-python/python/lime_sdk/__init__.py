"""The native library under ``lime_sites`` and ``lime_agents``.

Programs import those two; what is here serves programs that do part of the work themselves:

>>> import lime_sdk
>>> lime_sdk.solve_pow("challenge", 0)
'0'
"""

from lime_sdk._errors import (
    ApiError,
    AuthenticationError,
    InvalidPassportError,
    LimeError,
    LoginTimeoutError,
    OutcomeUnknownError,
    PassportExpiredError,
    PowTimeoutError,
    RateLimitError,
    RequestExpiredError,
)
from lime_sdk._native import VERSION as __version__
from lime_sdk._sans_io import (
    EventParser,
    open_envelope,
    parse_frame,
    parse_timestamp,
    solve_pow,
    verify_passport,
)

__all__ = [
    "ApiError",
    "AuthenticationError",
    "EventParser",
    "InvalidPassportError",
    "LimeError",
    "LoginTimeoutError",
    "OutcomeUnknownError",
    "PassportExpiredError",
    "PowTimeoutError",
    "RateLimitError",
    "RequestExpiredError",
    "__version__",
    "open_envelope",
    "parse_frame",
    "parse_timestamp",
    "solve_pow",
    "verify_passport",
]
