"""LIME for agent workers: confirm login requests, read the agent's profile.

>>> from lime_agents import LimeAgent
"""

from lime_sdk._lazy import loader

TYPE_CHECKING = False  # typing itself would be most of what this import costs
if TYPE_CHECKING:
    from lime_agents._agent import (
        LimeAgent,
    )
    from lime_agents._sync import (
        SyncLimeAgent,
    )
    from lime_agents._types import (
        AgentProfile,
        ApprovalResult,
    )
    from lime_sdk._errors import (
        AgentInactiveError,
        AgentUserSuspendedError,
        ApiError,
        AuthenticationError,
        AuthUnavailableError,
        LimeError,
        OutcomeUnknownError,
        PowTimeoutError,
        RateLimitError,
    )
    from lime_sdk._native import VERSION as __version__
    from lime_sdk._progress import LoginProgress

# Importing the package loads nothing; the first use of a name loads the module that has it.
_MODULES = {
    "LimeAgent": "lime_agents._agent",
    "SyncLimeAgent": "lime_agents._sync",
    "AgentProfile": "lime_agents._types",
    "ApprovalResult": "lime_agents._types",
    "AgentInactiveError": "lime_sdk._errors",
    "AgentUserSuspendedError": "lime_sdk._errors",
    "ApiError": "lime_sdk._errors",
    "AuthUnavailableError": "lime_sdk._errors",
    "AuthenticationError": "lime_sdk._errors",
    "LimeError": "lime_sdk._errors",
    "OutcomeUnknownError": "lime_sdk._errors",
    "PowTimeoutError": "lime_sdk._errors",
    "RateLimitError": "lime_sdk._errors",
    "LoginProgress": "lime_sdk._progress",
    "__version__": "lime_sdk._native:VERSION",
}

__all__ = [
    "AgentInactiveError",
    "AgentProfile",
    "AgentUserSuspendedError",
    "ApiError",
    "ApprovalResult",
    "AuthUnavailableError",
    "AuthenticationError",
    "LimeAgent",
    "LimeError",
    "LoginProgress",
    "OutcomeUnknownError",
    "PowTimeoutError",
    "RateLimitError",
    "SyncLimeAgent",
    "__version__",
]

if not TYPE_CHECKING:  # which would take any name for one of the package's
    __getattr__, __dir__ = loader(globals(), _MODULES)
