"""LIME for agent workers: confirm login requests, read the agent's profile.

>>> from lime_agents import LimeAgent
"""

from lime_agents._agent import LimeAgent
from lime_agents._types import AgentProfile, ApprovalResult
from lime_sdk._errors import (
    ApiError,
    AuthenticationError,
    LimeError,
    OutcomeUnknownError,
    PowTimeoutError,
    RateLimitError,
)
from lime_sdk._native import VERSION as __version__

__all__ = [
    "AgentProfile",
    "ApiError",
    "ApprovalResult",
    "AuthenticationError",
    "LimeAgent",
    "LimeError",
    "OutcomeUnknownError",
    "PowTimeoutError",
    "RateLimitError",
    "__version__",
]
