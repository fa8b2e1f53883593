package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"unsafe"
)

// An MCPTool is a tool of an MCP server.
type MCPTool struct {
	Name         string          `json:"name"`
	Title        string          `json:"title,omitempty"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  json.RawMessage `json:"annotations,omitempty"`
	Meta         json.RawMessage `json:"_meta,omitempty"`
}

// An MCPResource is a resource of an MCP server.
type MCPResource struct {
	URI         string          `json:"uri"`
	Name        string          `json:"name"`
	Title       string          `json:"title,omitempty"`
	Description string          `json:"description,omitempty"`
	MIMEType    string          `json:"mimeType,omitempty"`
	Size        *int64          `json:"size,omitempty"` // bytes, where the server knows
	Annotations json.RawMessage `json:"annotations,omitempty"`
	Meta        json.RawMessage `json:"_meta,omitempty"`
}

// An MCPResourceTemplate is a template of resources' addresses.
type MCPResourceTemplate struct {
	URITemplate string          `json:"uriTemplate"`
	Name        string          `json:"name"`
	Title       string          `json:"title,omitempty"`
	Description string          `json:"description,omitempty"`
	MIMEType    string          `json:"mimeType,omitempty"`
	Annotations json.RawMessage `json:"annotations,omitempty"`
	Meta        json.RawMessage `json:"_meta,omitempty"`
}

// MCPResourceContents is what is in a resource: a text, or bytes.
type MCPResourceContents struct {
	URI      string          `json:"uri"`
	MIMEType string          `json:"mimeType,omitempty"`
	Text     *string         `json:"text,omitempty"`
	Blob     []byte          `json:"blob,omitempty"`
	Meta     json.RawMessage `json:"_meta,omitempty"`
}

// An MCPContent is a piece of what a tool or a prompt says. Type says which members count: "text" (Text), "image" and
// "audio" (Data, MIMEType), "resource_link" (URI, Name) or "resource" (Resource).
type MCPContent struct {
	Type        string               `json:"type"`
	Text        string               `json:"text,omitempty"`
	Data        []byte               `json:"data,omitempty"`
	MIMEType    string               `json:"mimeType,omitempty"`
	URI         string               `json:"uri,omitempty"`
	Name        string               `json:"name,omitempty"`
	Resource    *MCPResourceContents `json:"resource,omitempty"`
	Annotations json.RawMessage      `json:"annotations,omitempty"`
	Meta        json.RawMessage      `json:"_meta,omitempty"`
}

// An MCPToolResult is what a tool answers.
type MCPToolResult struct {
	Content           []MCPContent    `json:"content"`
	StructuredContent json.RawMessage `json:"structuredContent,omitempty"`
	// IsError: the tool itself failed, and its content says why.
	IsError bool            `json:"isError,omitempty"`
	Meta    json.RawMessage `json:"_meta,omitempty"`
}

// Text is the texts of the content, with line feeds between them.
func (r *MCPToolResult) Text() string {
	var texts []string
	for _, content := range r.Content {
		if content.Type == "text" {
			texts = append(texts, content.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// An MCPPrompt is a prompt of an MCP server.
type MCPPrompt struct {
	Name        string              `json:"name"`
	Title       string              `json:"title,omitempty"`
	Description string              `json:"description,omitempty"`
	Arguments   []MCPPromptArgument `json:"arguments,omitempty"`
	Meta        json.RawMessage     `json:"_meta,omitempty"`
}

// An MCPPromptArgument is what a prompt is filled in with.
type MCPPromptArgument struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
}

// An MCPPromptResult is a prompt that is filled in.
type MCPPromptResult struct {
	Description string             `json:"description,omitempty"`
	Messages    []MCPPromptMessage `json:"messages"`
	Meta        json.RawMessage    `json:"_meta,omitempty"`
}

// An MCPPromptMessage is a part of a prompt; Role is "user" or "assistant".
type MCPPromptMessage struct {
	Role    string     `json:"role"`
	Content MCPContent `json:"content"`
}

// MCPServerCapabilities says what a server can do; what it cannot is nil.
type MCPServerCapabilities struct {
	Tools        json.RawMessage `json:"tools,omitempty"`
	Resources    json.RawMessage `json:"resources,omitempty"`
	Prompts      json.RawMessage `json:"prompts,omitempty"`
	Logging      json.RawMessage `json:"logging,omitempty"`
	Completions  json.RawMessage `json:"completions,omitempty"`
	Experimental json.RawMessage `json:"experimental,omitempty"`
}

// MCP calls an MCP server by the method of the protocol, such as "completion/complete", and gives the result as the server
// wrote it. The other calls of MCP servers are this one, typed. target is the server's URL, or a host name, which stands
// for "https://HOST/mcp"; params is what is written as the JSON object of the parameters, nil for none. Lists are of all
// pages.
//
// The agent's token for the server is attached, and replaced once when the server refuses it; the session with the server
// is kept for the next call. No redirect is followed, and nothing is sent twice that may act twice. When the context ends,
// the server is told that nobody waits for the answer.
//
// It fails with [ErrInvalidArgument] when the target is no public DNS name or the parameters are no JSON object; as
// [Agent.MCPAccessToken]; with [ErrMCPAuthentication] when the server refuses a fresh token, too; with [ErrMCP] when it
// reports an error; with [ErrOutcomeUnknown] when a tool was called and the answer got lost.
func (a *Agent) MCP(ctx context.Context, target, method string, params any) (json.RawMessage, error) {
	defer runtime.KeepAlive(a)
	where, err := text("target", target)
	if err != nil {
		return nil, err
	}
	what, err := text("method", method)
	if err != nil {
		return nil, err
	}
	var with *C.char
	if params != nil {
		written, err := json.Marshal(params)
		if err != nil {
			return nil, invalid("The parameters are not for JSON: %v", err)
		}
		if with, err = text("params", string(written)); err != nil {
			return nil, err
		}
	}
	return perform[json.RawMessage](ctx, a.client, limit{}, func(agent unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_agent_mcp((*C.lime_agent)(agent), where, what, with, call)
	})
}

//export limeGoMCPResult
func limeGoMCPResult(call C.uintptr_t, status C.int32_t, result *C.lime_mcp_result, failure *C.lime_error) {
	complete(call, status, failure, func() json.RawMessage {
		defer C.lime_mcp_result_free(result)
		return json.RawMessage(C.GoString(C.lime_mcp_result_json(result)))
	})
}

// mcp makes a call and reads its result.
func mcp[T any](ctx context.Context, a *Agent, target, method string, params any) (T, error) {
	var result T
	written, err := a.MCP(ctx, target, method, params)
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(written, &result); err != nil {
		return result, &Error{Kind: KindBadResponse, Message: "The MCP server's result cannot be read: " + err.Error()}
	}
	return result, nil
}

// ListTools gives the tools of an MCP server. See [Agent.MCP].
func (a *Agent) ListTools(ctx context.Context, target string) ([]MCPTool, error) {
	result, err := mcp[struct{ Tools []MCPTool }](ctx, a, target, "tools/list", nil)
	return result.Tools, err
}

// CallTool calls a tool of an MCP server; arguments is what is written as a JSON object, nil for none. That the tool
// itself failed is a result, too. See [Agent.MCP].
func (a *Agent) CallTool(ctx context.Context, target, name string, arguments any) (*MCPToolResult, error) {
	return mcp[*MCPToolResult](ctx, a, target, "tools/call", named(name, arguments))
}

// ListResources gives the resources of an MCP server. See [Agent.MCP].
func (a *Agent) ListResources(ctx context.Context, target string) ([]MCPResource, error) {
	result, err := mcp[struct{ Resources []MCPResource }](ctx, a, target, "resources/list", nil)
	return result.Resources, err
}

// ListResourceTemplates gives the templates of resources of an MCP server. See [Agent.MCP].
func (a *Agent) ListResourceTemplates(ctx context.Context, target string) ([]MCPResourceTemplate, error) {
	result, err := mcp[struct{ ResourceTemplates []MCPResourceTemplate }](ctx, a, target, "resources/templates/list", nil)
	return result.ResourceTemplates, err
}

// ReadResource reads a resource of an MCP server. See [Agent.MCP].
func (a *Agent) ReadResource(ctx context.Context, target, uri string) ([]MCPResourceContents, error) {
	params := map[string]any{"uri": uri}
	result, err := mcp[struct{ Contents []MCPResourceContents }](ctx, a, target, "resources/read", params)
	return result.Contents, err
}

// ListPrompts gives the prompts of an MCP server. See [Agent.MCP].
func (a *Agent) ListPrompts(ctx context.Context, target string) ([]MCPPrompt, error) {
	result, err := mcp[struct{ Prompts []MCPPrompt }](ctx, a, target, "prompts/list", nil)
	return result.Prompts, err
}

// GetPrompt fills in a prompt of an MCP server. See [Agent.MCP].
func (a *Agent) GetPrompt(ctx context.Context, target, name string, arguments map[string]string) (*MCPPromptResult, error) {
	if arguments == nil {
		arguments = map[string]string{}
	}
	return mcp[*MCPPromptResult](ctx, a, target, "prompts/get", named(name, arguments))
}

// SendPing asks whether an MCP server is there. See [Agent.MCP].
func (a *Agent) SendPing(ctx context.Context, target string) error {
	_, err := a.MCP(ctx, target, "ping", nil)
	return err
}

// SetLoggingLevel says from which level on, "debug" to "emergency", an MCP server is to send log records. See [Agent.MCP].
func (a *Agent) SetLoggingLevel(ctx context.Context, target, level string) error {
	_, err := a.MCP(ctx, target, "logging/setLevel", map[string]any{"level": level})
	return err
}

// ServerCapabilities tells what an MCP server can do, as it said when the session with it began. See [Agent.MCP].
func (a *Agent) ServerCapabilities(ctx context.Context, target string) (*MCPServerCapabilities, error) {
	return mcp[*MCPServerCapabilities](ctx, a, target, "initialize", nil)
}

// SendProgressNotification tells an MCP server how far something has come that it asked for by its token; a total of 0 is
// not known. See [Agent.MCP].
func (a *Agent) SendProgressNotification(ctx context.Context, target, token string, progress, total float64) error {
	params := map[string]any{"progressToken": token, "progress": progress}
	if total != 0 {
		params["total"] = total
	}
	_, err := a.MCP(ctx, target, "notifications/progress", params)
	return err
}

// named is the parameters of a call that names something and gives it arguments.
func named(name string, arguments any) map[string]any {
	if arguments == nil {
		arguments = struct{}{}
	}
	return map[string]any{"name": name, "arguments": arguments}
}
