"""The errors by the module that the published package has them in: its pickles name it."""

from lime_sdk._errors import (
    AgentInactiveError,
    AgentUserSuspendedError,
    ApiError,
    AuthenticationError,
    AuthUnavailableError,
    LimeError,
    McpAuthenticationError,
    OAuthCapabilityError,
    PowTimeoutError,
    RateLimitError,
)

__all__ = [
    "AgentInactiveError",
    "AgentUserSuspendedError",
    "ApiError",
    "AuthUnavailableError",
    "AuthenticationError",
    "LimeError",
    "McpAuthenticationError",
    "OAuthCapabilityError",
    "PowTimeoutError",
    "RateLimitError",
]
