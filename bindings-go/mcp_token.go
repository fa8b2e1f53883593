package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"
	"unsafe"
)

// An MCPAccessToken is a token for the MCP servers of one host name. It does not show the token when it is printed.
type MCPAccessToken struct {
	// AccessToken is the JWT, to be sent as "Authorization: Bearer ..." to MCP servers of its host name and nowhere else.
	AccessToken string
	// TokenType is "Bearer".
	TokenType string
	// ExpiresIn is how long it lives from IssuedAt on.
	ExpiresIn time.Duration
	// IssuedAt is when it was fetched.
	IssuedAt time.Time
}

// Format shows the token's times without the token.
func (t MCPAccessToken) Format(state fmt.State, verb rune) { format(state, verb, t.LogValue()) }

// LogValue shows the token's times without the token.
func (t MCPAccessToken) LogValue() slog.Value {
	return shown("AccessToken", t.AccessToken, slog.Duration("ExpiresIn", t.ExpiresIn), slog.Time("IssuedAt", t.IssuedAt))
}

// MCPTokenOptions say how to get a token.
type MCPTokenOptions struct {
	// ForceRefresh fetches a new one, whatever is held.
	ForceRefresh bool
}

// MCPAccessToken gives a token for the MCP servers of a host name, which is taken from target: a URL or a host name, see
// [ExtractAndNormalizeDomain]. It is the one that is held, as long as it lives; it is fetched by one call at a time.
//
// It fails with [ErrInvalidArgument] when the target is no public DNS name; with [ErrOAuthCapability] when the agent
// lacks the grant; with [ErrAuthentication] when the platform refuses the agent's token; with another error of the
// platform or the network.
func (a *Agent) MCPAccessToken(ctx context.Context, target string, options MCPTokenOptions) (*MCPAccessToken, error) {
	defer runtime.KeepAlive(a)
	pointer, err := text("target", target)
	if err != nil {
		return nil, err
	}
	force := flag(options.ForceRefresh)
	return perform[*MCPAccessToken](ctx, a.client, limit{}, func(agent unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_agent_get_mcp_access_token((*C.lime_agent)(agent), pointer, force, call)
	})
}

//export limeGoMCPAccessToken
func limeGoMCPAccessToken(call C.uintptr_t, status C.int32_t, token *C.lime_mcp_access_token, failure *C.lime_error) {
	complete(call, status, failure, func() *MCPAccessToken {
		defer C.lime_mcp_access_token_free(token)
		return &MCPAccessToken{
			AccessToken: C.GoString(C.lime_mcp_access_token_access_token(token)),
			TokenType:   C.GoString(C.lime_mcp_access_token_token_type(token)),
			ExpiresIn:   time.Duration(C.lime_mcp_access_token_expires_in_seconds(token)) * time.Second,
			IssuedAt:    at(C.lime_mcp_access_token_issued_at_unix_micros(token), noOffset),
		}
	})
}
