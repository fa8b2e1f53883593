package lime

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const mcpHost = "tools.example.com"

// An mcpServer is the official SDK's, which verifies tokens with the keys of a sandbox.
type mcpServer struct {
	port string
	url  string
}

func startMCPServer(t testing.TB, s *sandbox) *mcpServer {
	t.Helper()
	python := filepath.Join(root, ".venv/bin/python")
	command := exec.Command(python, filepath.Join(root, "tests/mcp_server.py"), mcpHost)
	command.Env = append(os.Environ(), "LIME_API_BASE="+s.APIBase)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	ok(t, err)
	output, err := command.StdoutPipe()
	ok(t, err)
	ok(t, command.Start())
	t.Cleanup(func() {
		input.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("the MCP server ended with %v", err)
		}
	})
	port, err := bufio.NewReader(output).ReadString('\n')
	ok(t, err)
	port = strings.TrimSpace(port)
	return &mcpServer{port: port, url: fmt.Sprintf("http://%s:%s/mcp", mcpHost, port)}
}

// methods is what the server was asked for so far.
func (s *mcpServer) methods(t testing.TB) (methods []string) {
	t.Helper()
	answer, err := plainClient.Get("http://127.0.0.1:" + s.port + "/_test")
	ok(t, err)
	defer answer.Body.Close()
	var asked []struct{ RPC string }
	ok(t, json.NewDecoder(answer.Body).Decode(&asked))
	for _, each := range asked {
		methods = append(methods, each.RPC)
	}
	return methods
}

func (s *mcpServer) tell(t testing.TB, wish string) {
	t.Helper()
	answer, err := plainClient.Post("http://127.0.0.1:"+s.port+"/_test", "application/json", strings.NewReader(wish))
	ok(t, err)
	answer.Body.Close()
}

func newMCP(t testing.TB) (*home, *Agent, *mcpServer) {
	t.Helper()
	h := newHome(t)
	server := startMCPServer(t, h.sandbox)
	h.agentOptions.MCPAddresses = map[string]string{mcpHost: "127.0.0.1"}
	return h, h.newAgent(t), server
}

func TestMCPAccessToken(t *testing.T) {
	h := newHome(t)
	agent := h.newAgent(t)
	ctx := watched(t)
	first, err := agent.MCPAccessToken(ctx, "https://Tools.example.com:8443/mcp", MCPTokenOptions{})
	ok(t, err)
	equal(t, "type", first.TokenType, "Bearer")
	equal(t, "life", first.ExpiresIn, 5*time.Minute)
	if age := time.Since(first.IssuedAt); age < -time.Minute || age > time.Minute {
		t.Errorf("issued %v ago", age)
	}
	again, err := agent.MCPAccessToken(ctx, mcpHost, MCPTokenOptions{})
	ok(t, err)
	equal(t, "the token that is held", again.AccessToken, first.AccessToken)
	forced, err := agent.MCPAccessToken(ctx, mcpHost, MCPTokenOptions{ForceRefresh: true})
	ok(t, err)
	equal(t, "whether another one was fetched", forced.AccessToken != first.AccessToken, true)
	for _, shown := range []string{fmt.Sprint(*first), fmt.Sprintf("%+v %#v", *first, first)} {
		if strings.Contains(shown, first.AccessToken) || !strings.Contains(shown, "***") {
			t.Errorf("it shows %s", shown)
		}
	}
	_, err = agent.MCPAccessToken(ctx, "http://127.1/mcp", MCPTokenOptions{})
	equal(t, "an address", errors.Is(err, ErrInvalidArgument), true)
	_, err = agent.MCPAccessToken(ctx, "a\x00b", MCPTokenOptions{})
	equal(t, "a NUL", errors.Is(err, ErrInvalidArgument), true)
	profile, err := agent.Profile(ctx)
	ok(t, err)
	h.post(t, "/agents/"+profile.AgentID+"/revoke-mcp", values{})
	_, err = agent.MCPAccessToken(ctx, "other.example.com", MCPTokenOptions{})
	equal(t, "without the grant", errors.Is(err, ErrOAuthCapability), true)
}

func TestMCPCalls(t *testing.T) {
	_, agent, server := newMCP(t)
	ctx, url := watched(t), server.url
	profile, err := agent.Profile(ctx)
	ok(t, err)

	tools, err := agent.ListTools(ctx, url)
	ok(t, err)
	var echo *MCPTool
	for at := range tools {
		if tools[at].Name == "echo" {
			echo = &tools[at]
		}
	}
	if echo == nil || echo.Description != "Gives the text back" || !json.Valid(echo.InputSchema) {
		t.Fatalf("no echo in %+v", tools)
	}
	result, err := agent.CallTool(ctx, url, "who", map[string]any{"greeting": "hello"})
	ok(t, err)
	equal(t, "text", result.Text(), "hello "+profile.AgentID)
	result, err = agent.CallTool(ctx, url, "add", struct{ A, B int }{2, 3})
	ok(t, err)
	// Members are named as they are declared, so these are none of the tool's.
	equal(t, "whether the tool refuses", result.IsError, true)
	result, err = agent.CallTool(ctx, url, "add", map[string]int{"a": 2, "b": 3})
	ok(t, err)
	equal(t, "structured content", string(result.StructuredContent), `{"sum":5}`)
	result, err = agent.CallTool(ctx, url, "fail", nil)
	ok(t, err)
	equal(t, "whether it failed", result.IsError && strings.Contains(result.Text(), "it went wrong"), true)

	resources, err := agent.ListResources(ctx, url)
	ok(t, err)
	equal(t, "resource", resources[0].URI, "note://today")
	templates, err := agent.ListResourceTemplates(ctx, url)
	ok(t, err)
	equal(t, "template", templates[0].URITemplate, "note://{name}")
	contents, err := agent.ReadResource(ctx, url, "note://mine")
	ok(t, err)
	equal(t, "contents", *contents[0].Text, "the note mine")
	prompts, err := agent.ListPrompts(ctx, url)
	ok(t, err)
	equal(t, "argument", prompts[0].Arguments[0], MCPPromptArgument{Name: "name", Required: true})
	prompt, err := agent.GetPrompt(ctx, url, "greet", map[string]string{"name": "Ada"})
	ok(t, err)
	equal(t, "prompt", prompt.Messages[0].Role+" "+prompt.Messages[0].Content.Text, "user Greet Ada")
	capabilities, err := agent.ServerCapabilities(ctx, url)
	ok(t, err)
	equal(t, "whether there are tools", capabilities.Tools != nil && capabilities.Completions == nil, true)
	ok(t, agent.SendPing(ctx, url))
	ok(t, agent.SetLoggingLevel(ctx, url, "warning"))
	ok(t, agent.SendProgressNotification(ctx, url, "token", 0.5, 1))
	raw, err := agent.MCP(ctx, url, "prompts/list", nil)
	ok(t, err)
	equal(t, "whether it is as the server wrote it", strings.Contains(string(raw), `"prompts":[{"name":"greet"`), true)
	beginnings := 0
	for _, method := range server.methods(t) {
		if method == "initialize" {
			beginnings++
		}
	}
	equal(t, "sessions", beginnings, 1)
}

func TestMCPRefusals(t *testing.T) {
	h, agent, server := newMCP(t)
	ctx, url := watched(t), server.url
	_, err := agent.ReadResource(ctx, url, "none://there")
	var failure *Error
	equal(t, "kind", errors.Is(err, ErrMCP) && errors.As(err, &failure), true)
	equal(t, "whether it has what the server said", failure.Detail != nil && strings.Contains(failure.Message, "Unknown resource"), true)
	server.tell(t, `{"refuse": 1}`)
	ok(t, agent.SendPing(ctx, url))
	server.tell(t, `{"refuse": 2}`)
	equal(t, "a token that is refused twice", errors.Is(agent.SendPing(ctx, url), ErrMCPAuthentication), true)
	server.tell(t, `{"forget": true}`)
	ok(t, agent.SendPing(ctx, url))
	for _, wrong := range []any{make(chan int), []int{1}, "text", "\x00"} {
		_, err := agent.MCP(ctx, url, "ping", wrong)
		equal(t, fmt.Sprintf("parameters %T", wrong), errors.Is(err, ErrInvalidArgument), true)
	}
	h.agentOptions.MCPAddresses = map[string]string{mcpHost: "localhost"}
	_, err = NewAgent(h.agentOptions)
	equal(t, "an address that is none", errors.Is(err, ErrInvalidArgument), true)
}

func TestMCPIsCancelledWithItsContext(t *testing.T) {
	_, agent, server := newMCP(t)
	ctx, cancel := context.WithCancel(watched(t))
	ended := make(chan error, 1)
	go func() {
		_, err := agent.CallTool(ctx, server.url, "forever", nil)
		ended <- err
	}()
	has := func(method string) func() bool {
		return func() bool { return strings.Contains(strings.Join(server.methods(t), " "), method) }
	}
	eventually(t, "the tool is called", has("tools/call"))
	cancel()
	equal(t, "whether it was cancelled", errors.Is(receive(t, ended), context.Canceled), true)
	eventually(t, "the server is told", has("notifications/cancelled"))
	ok(t, agent.SendPing(watched(t), server.url))
}

func TestMCPManyAtOnce(t *testing.T) {
	for _, concurrent := range []bool{false, true} {
		h, _, server := newMCP(t)
		h.agentOptions.ConcurrentMCP = concurrent
		agent, ctx := h.newAgent(t), watched(t)
		var group sync.WaitGroup
		for number := range 50 {
			group.Add(1)
			go func() {
				defer group.Done()
				text := fmt.Sprint(number)
				result, err := agent.CallTool(ctx, server.url, "echo", map[string]string{"text": text})
				if err != nil || result.Text() != text {
					t.Errorf("%s: %v, %v", text, result, err)
				}
			}()
		}
		group.Wait()
	}
}

func TestMCPThroughARoundTripper(t *testing.T) {
	h, _, server := newMCP(t)
	var paths []string
	var mutex sync.Mutex
	h.agentOptions.MCPAddresses = nil
	h.agentOptions.Transport = tripper(func(request *http.Request) (*http.Response, error) {
		mutex.Lock()
		paths = append(paths, request.Method+" "+request.URL.Path)
		mutex.Unlock()
		// A name that only this program knows.
		if request.URL.Hostname() == mcpHost {
			request = request.Clone(request.Context())
			request.Host = request.URL.Host
			request.URL.Host = "127.0.0.1:" + server.port
		}
		return plainClient.Transport.RoundTrip(request)
	})
	result, err := h.newAgent(t).CallTool(watched(t), server.url, "echo", map[string]string{"text": "carried"})
	ok(t, err)
	equal(t, "text", result.Text(), "carried")
	equal(t, "requests", strings.Join(paths, ", "),
		"POST /api/v1/modules/oauth/token, POST /mcp, POST /mcp, POST /mcp")
}
