"""LIME for agent workers: confirm login requests, read the agent's profile.

>>> from lime_agents import LimeAgent
"""

TYPE_CHECKING = False  # typing itself would be most of what this import costs
if TYPE_CHECKING:
    from lime_agents._agent import (
        LimeAgent,
    )
    from lime_agents._types import (
        AgentProfile,
        ApprovalResult,
    )
    from lime_sdk._errors import (
        ApiError,
        AuthenticationError,
        LimeError,
        OutcomeUnknownError,
        PowTimeoutError,
        RateLimitError,
    )
    from lime_sdk._native import VERSION as __version__

# Importing the package loads nothing; the first use of a name loads the module that has it.
_MODULES = {
    "LimeAgent": "lime_agents._agent",
    "AgentProfile": "lime_agents._types",
    "ApprovalResult": "lime_agents._types",
    "ApiError": "lime_sdk._errors",
    "AuthenticationError": "lime_sdk._errors",
    "LimeError": "lime_sdk._errors",
    "OutcomeUnknownError": "lime_sdk._errors",
    "PowTimeoutError": "lime_sdk._errors",
    "RateLimitError": "lime_sdk._errors",
    "__version__": "lime_sdk._native",
}

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


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(module), "VERSION" if name == "__version__" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
