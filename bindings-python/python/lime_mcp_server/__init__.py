"""LIME for MCP servers: verify the access tokens that agents show.

>>> from lime_mcp_server import TokenVerifier
"""

from lime_sdk._lazy import loader

TYPE_CHECKING = False  # typing itself would be most of what this import costs
if TYPE_CHECKING:
    from lime_mcp_server._cache import (
        JwksCache,
    )
    from lime_mcp_server._claims import (
        McpAccessTokenClaims,
    )
    from lime_mcp_server._config import (
        LimeConfig,
        jwks_cache_ttl_seconds,
    )
    from lime_mcp_server._constants import (
        FORBIDDEN_MCP_CLAIMS,
        JWKS_PATH,
        METADATA_PATH,
    )
    from lime_mcp_server._domain import (
        normalize_mcp_domain,
    )
    from lime_mcp_server._jwt import (
        verify_mcp_access_token,
    )
    from lime_mcp_server._types import (
        TokenValidationResult,
    )
    from lime_mcp_server._verifier import (
        TokenVerifier,
    )
    from lime_sdk._errors import (
        InvalidTokenError,
        LimeError,
    )
    from lime_sdk._native import VERSION as __version__

# Importing the package loads nothing; the first use of a name loads the module that has it.
_MODULES = {
    "FORBIDDEN_MCP_CLAIMS": "lime_mcp_server._constants",
    "InvalidTokenError": "lime_sdk._errors",
    "JWKS_PATH": "lime_mcp_server._constants",
    "JwksCache": "lime_mcp_server._cache",
    "LimeConfig": "lime_mcp_server._config",
    "LimeError": "lime_sdk._errors",
    "METADATA_PATH": "lime_mcp_server._constants",
    "McpAccessTokenClaims": "lime_mcp_server._claims",
    "TokenValidationResult": "lime_mcp_server._types",
    "TokenVerifier": "lime_mcp_server._verifier",
    "__version__": "lime_sdk._native:VERSION",
    "jwks_cache_ttl_seconds": "lime_mcp_server._config",
    "normalize_mcp_domain": "lime_mcp_server._domain",
    "verify_mcp_access_token": "lime_mcp_server._jwt",
}

__all__ = [
    "FORBIDDEN_MCP_CLAIMS",
    "JWKS_PATH",
    "METADATA_PATH",
    "InvalidTokenError",
    "JwksCache",
    "LimeConfig",
    "LimeError",
    "McpAccessTokenClaims",
    "TokenValidationResult",
    "TokenVerifier",
    "__version__",
    "jwks_cache_ttl_seconds",
    "normalize_mcp_domain",
    "verify_mcp_access_token",
]

if not TYPE_CHECKING:  # which would take any name for one of the package's
    __getattr__, __dir__ = loader(globals(), _MODULES)
