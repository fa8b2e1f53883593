"""The errors by the module that the published package has them in: its pickles name it."""

from lime_sdk._errors import (
    ApiError,
    AuthenticationError,
    LimeError,
    McpAuthenticationError,
    OAuthCapabilityError,
    PowTimeoutError,
    RateLimitError,
)

__all__ = [
    "ApiError",
    "AuthenticationError",
    "LimeError",
    "McpAuthenticationError",
    "OAuthCapabilityError",
    "PowTimeoutError",
    "RateLimitError",
]
