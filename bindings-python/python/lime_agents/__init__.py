"""LIME for agent workers: confirm login requests, read the agent's profile.

>>> from lime_agents import LimeAgent
"""

from lime_sdk._lazy import loader

TYPE_CHECKING = False  # typing itself would be most of what this import costs
if TYPE_CHECKING:
    from lime_agents._agent import (
        LimeAgent,
    )
    from lime_agents._domain import (
        extract_and_normalize_domain,
        resolve_mcp_http_url,
    )
    from lime_agents._mcp_types import (
        CallToolResult,
        GetPromptResult,
        Prompt,
        ReadResourceResult,
        Resource,
        ResourceTemplate,
        ServerCapabilities,
        Tool,
    )
    from lime_agents._sync import (
        SyncLimeAgent,
    )
    from lime_agents._types import (
        AgentProfile,
        ApprovalResult,
        McpAccessToken,
    )
    from lime_sdk._errors import (
        AgentInactiveError,
        AgentUserSuspendedError,
        ApiError,
        AuthenticationError,
        AuthUnavailableError,
        LimeError,
        McpAuthenticationError,
        McpError,
        OAuthCapabilityError,
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
    "McpAccessToken": "lime_agents._types",
    "CallToolResult": "lime_agents._mcp_types",
    "GetPromptResult": "lime_agents._mcp_types",
    "Prompt": "lime_agents._mcp_types",
    "ReadResourceResult": "lime_agents._mcp_types",
    "Resource": "lime_agents._mcp_types",
    "ResourceTemplate": "lime_agents._mcp_types",
    "ServerCapabilities": "lime_agents._mcp_types",
    "Tool": "lime_agents._mcp_types",
    "extract_and_normalize_domain": "lime_agents._domain",
    "resolve_mcp_http_url": "lime_agents._domain",
    "ApiError": "lime_sdk._errors",
    "AuthUnavailableError": "lime_sdk._errors",
    "AuthenticationError": "lime_sdk._errors",
    "LimeError": "lime_sdk._errors",
    "McpAuthenticationError": "lime_sdk._errors",
    "McpError": "lime_sdk._errors",
    "OAuthCapabilityError": "lime_sdk._errors",
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
    "CallToolResult",
    "GetPromptResult",
    "LimeAgent",
    "LimeError",
    "LoginProgress",
    "McpAccessToken",
    "McpAuthenticationError",
    "McpError",
    "OAuthCapabilityError",
    "OutcomeUnknownError",
    "PowTimeoutError",
    "Prompt",
    "RateLimitError",
    "ReadResourceResult",
    "Resource",
    "ResourceTemplate",
    "ServerCapabilities",
    "SyncLimeAgent",
    "Tool",
    "__version__",
    "extract_and_normalize_domain",
    "resolve_mcp_http_url",
]

if not TYPE_CHECKING:  # which would take any name for one of the package's
    __getattr__, __dir__ = loader(globals(), _MODULES)
