"""The native library under ``lime_sites``, ``lime_agents`` and ``lime_mcp_server``.

Programs import those; what is here serves programs that do part of the work themselves:

>>> import lime_sdk
>>> lime_sdk.solve_pow("challenge", 0)
'0'
"""

from lime_sdk._lazy import loader

TYPE_CHECKING = False  # typing itself would be most of what this import costs
if TYPE_CHECKING:
    from lime_sdk._errors import (
        AgentInactiveError,
        AgentUserSuspendedError,
        ApiError,
        AuthenticationError,
        AuthUnavailableError,
        InvalidPassportError,
        InvalidTokenError,
        LimeError,
        LoginTimeoutError,
        McpAuthenticationError,
        McpError,
        OAuthCapabilityError,
        OutcomeUnknownError,
        PassportExpiredError,
        PowTimeoutError,
        RateLimitError,
        RequestExpiredError,
        SiteAuthUnavailableError,
    )
    from lime_sdk._native import VERSION as __version__
    from lime_sdk._sans_io import (
        EventParser,
        open_envelope,
        parse_frame,
        parse_timestamp,
        solve_pow,
        verify_binding_passport,
        verify_passport,
    )

# Importing the package loads nothing; the first use of a name loads the module that has it.
_MODULES = {
    "AgentInactiveError": "lime_sdk._errors",
    "AgentUserSuspendedError": "lime_sdk._errors",
    "ApiError": "lime_sdk._errors",
    "AuthUnavailableError": "lime_sdk._errors",
    "AuthenticationError": "lime_sdk._errors",
    "InvalidPassportError": "lime_sdk._errors",
    "InvalidTokenError": "lime_sdk._errors",
    "LimeError": "lime_sdk._errors",
    "LoginTimeoutError": "lime_sdk._errors",
    "McpAuthenticationError": "lime_sdk._errors",
    "McpError": "lime_sdk._errors",
    "OAuthCapabilityError": "lime_sdk._errors",
    "OutcomeUnknownError": "lime_sdk._errors",
    "PassportExpiredError": "lime_sdk._errors",
    "PowTimeoutError": "lime_sdk._errors",
    "RateLimitError": "lime_sdk._errors",
    "RequestExpiredError": "lime_sdk._errors",
    "SiteAuthUnavailableError": "lime_sdk._errors",
    "__version__": "lime_sdk._native:VERSION",
    "EventParser": "lime_sdk._sans_io",
    "open_envelope": "lime_sdk._sans_io",
    "parse_frame": "lime_sdk._sans_io",
    "parse_timestamp": "lime_sdk._sans_io",
    "solve_pow": "lime_sdk._sans_io",
    "verify_binding_passport": "lime_sdk._sans_io",
    "verify_passport": "lime_sdk._sans_io",
}

__all__ = [
    "AgentInactiveError",
    "AgentUserSuspendedError",
    "ApiError",
    "AuthUnavailableError",
    "AuthenticationError",
    "EventParser",
    "InvalidPassportError",
    "InvalidTokenError",
    "LimeError",
    "LoginTimeoutError",
    "McpAuthenticationError",
    "McpError",
    "OAuthCapabilityError",
    "OutcomeUnknownError",
    "PassportExpiredError",
    "PowTimeoutError",
    "RateLimitError",
    "RequestExpiredError",
    "SiteAuthUnavailableError",
    "__version__",
    "open_envelope",
    "parse_frame",
    "parse_timestamp",
    "solve_pow",
    "verify_binding_passport",
    "verify_passport",
]

if not TYPE_CHECKING:  # which would take any name for one of the package's
    # The native module comes this way too, so that where it cannot be loaded the reason is one to act on.
    __getattr__, __dir__ = loader(globals(), _MODULES, ("_native",))
