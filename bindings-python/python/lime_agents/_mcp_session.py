"""A session with one MCP server: an ``mcp.ClientSession`` where ``mcp`` is installed, else one of the same shape."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lime_agents._mcp_client_session import McpSession
else:
    try:
        import mcp  # noqa: F401
    except ImportError:
        from lime_agents._mcp_plain_session import McpSession
    else:
        from lime_agents._mcp_client_session import McpSession

__all__ = ["McpSession"]
