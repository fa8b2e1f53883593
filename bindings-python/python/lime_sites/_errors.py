"""The errors by the module that the published package has them in: its pickles name it."""

from lime_sdk._errors import (
    ApiError,
    AuthenticationError,
    InvalidPassportError,
    LimeError,
    RateLimitError,
    RequestExpiredError,
    SiteAuthUnavailableError,
)

__all__ = [
    "ApiError",
    "AuthenticationError",
    "InvalidPassportError",
    "LimeError",
    "RateLimitError",
    "RequestExpiredError",
    "SiteAuthUnavailableError",
]
