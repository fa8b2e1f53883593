package lime

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// root is the checkout, where vectors, header and sandbox are.
const root = ".."

// A sandbox is a platform of a test's own, and its control API.
type sandbox struct {
	APIBase       string `json:"lime_api_base"`
	BaseURL       string `json:"lime_base_url"`
	SiteToken     string `json:"site_token"`
	AgentToken    string `json:"agent_token"`
	SesameURL     string `json:"sesame_url"`
	APIKey        string `json:"sesame_api_key"`
	WebhookSecret string `json:"webhook_secret"`
	ControlURL    string `json:"control_url"`
	SiteID        string `json:"site_id"`
}

// startSandbox runs one, which ends with the test. Without arguments its proofs of work are easy.
func startSandbox(t testing.TB, arguments ...string) *sandbox {
	t.Helper()
	program := os.Getenv("LIME_SANDBOX_BINARY")
	if program == "" {
		program = filepath.Join(root, "target/debug/lime-sandbox")
	}
	if len(arguments) == 0 {
		arguments = []string{"--difficulty", "6"}
	}
	command := exec.Command(program, append([]string{"--port", "0", "--json", "--exit-with-parent"}, arguments...)...)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("the sandbox does not start, which `make build` builds: %v", err)
	}
	t.Cleanup(func() {
		input.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("the sandbox ended with %v", err)
		}
	})
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := new(sandbox)
	if err := json.Unmarshal(line, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// shared is one sandbox for all tests that need no faults and no clock: each makes a site, an agent or a key of its own.
func shared(t testing.TB) *sandbox {
	t.Helper()
	if sharedSandbox == nil {
		t.Fatal("there is no sandbox")
	}
	return sharedSandbox
}

var sharedSandbox *sandbox

// forever is a test that ends with the process.
type forever struct {
	testing.TB
	ends *[]func()
}

func (f forever) Helper()            {}
func (f forever) Cleanup(end func()) { *f.ends = append(*f.ends, end) }
func (f forever) Fatal(values ...any) {
	panic(fmt.Sprint(values...))
}
func (f forever) Fatalf(format string, values ...any) { panic(fmt.Sprintf(format, values...)) }
func (f forever) Errorf(format string, values ...any) { panic(fmt.Sprintf(format, values...)) }

// TestMain runs everything beside a sandbox, which the environment names: the examples take it from there. Its people
// approve refunds and deny deletions.
func TestMain(m *testing.M) {
	var ends []func()
	all := forever{ends: &ends}
	sharedSandbox = startSandbox(all)
	sharedSandbox.post(all, "/rules", []values{
		{"action": "payments.refund", "decision": "approved"},
		{"action": "db.delete", "decision": "denied", "note": "Not today"},
	})
	for name, value := range map[string]string{
		"LIME_API_BASE":     sharedSandbox.APIBase,
		"LIME_BASE_URL":     sharedSandbox.BaseURL,
		"LIME_SITE_TOKEN":   sharedSandbox.SiteToken,
		"LIME_AGENT_TOKEN":  sharedSandbox.AgentToken,
		"SESAME_BROKER_URL": sharedSandbox.SesameURL,
		"SESAME_API_KEY":    sharedSandbox.APIKey,
	} {
		os.Setenv(name, value)
	}
	code := m.Run()
	for _, end := range ends {
		end()
	}
	os.Exit(code)
}

var plainClient = &http.Client{Transport: &http.Transport{}}

// control calls the control API and gives its answer.
func (s *sandbox) control(t testing.TB, method, path string, body any) map[string]any {
	t.Helper()
	var reader io.Reader
	if body != nil {
		document, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = strings.NewReader(string(document))
	}
	request, err := http.NewRequest(method, s.ControlURL+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	response, err := plainClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	document, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, response.StatusCode, document)
	}
	var answer map[string]any
	if len(document) > 0 {
		if err := json.Unmarshal(document, &answer); err != nil {
			t.Fatal(err)
		}
	}
	return answer
}

func (s *sandbox) get(t testing.TB, path string) map[string]any {
	t.Helper()
	return s.control(t, http.MethodGet, path, nil)
}

func (s *sandbox) post(t testing.TB, path string, body any) map[string]any {
	t.Helper()
	return s.control(t, http.MethodPost, path, body)
}

// object is a JSON object in a call of the control API.
type values = map[string]any

// list is a member that is a list of objects.
func list(t testing.TB, answer map[string]any, name string) []map[string]any {
	t.Helper()
	items, ok := answer[name].([]any)
	if !ok {
		t.Fatalf("no %s in %v", name, answer)
	}
	objects := make([]map[string]any, len(items))
	for at, item := range items {
		objects[at] = item.(map[string]any)
	}
	return objects
}

// streams waits until so many streams of the site are open.
func (s *sandbox) streams(t testing.TB, siteID string, open int) {
	t.Helper()
	s.get(t, fmt.Sprintf("/streams?site_id=%s&min_open=%d&max_open=%d&wait_ms=60000", siteID, open, open))
}

// polls waits until so many long polls are held.
func (s *sandbox) polls(t testing.TB, count int) {
	t.Helper()
	s.get(t, fmt.Sprintf("/polls?min=%d&max=%d&wait_ms=60000", count, count))
}

func (s *sandbox) decide(t testing.TB, approvalID, decision string) {
	t.Helper()
	s.post(t, "/approvals/"+approvalID+"/decision", values{"decision": decision, "note": "Decided by a test"})
}

// A home is a site of a test's own on a sandbox, with its id.
type home struct {
	*sandbox
	siteOptions  SiteOptions
	agentOptions AgentOptions
	siteID       string
}

// newHome makes a site and an agent that no other test has.
func newHome(t testing.TB) *home {
	t.Helper()
	s := shared(t)
	made, agent := s.post(t, "/sites", values{}), s.post(t, "/agents", values{})
	return &home{
		sandbox:      s,
		siteOptions:  SiteOptions{SiteToken: made["site_token"].(string), BaseURL: s.APIBase},
		agentOptions: AgentOptions{AgentToken: agent["agent_token"].(string), BaseURL: s.APIBase},
		siteID:       made["site_id"].(string),
	}
}

// newSite makes the client, which is closed with the test.
func (h *home) newSite(t testing.TB) *Site {
	t.Helper()
	return makeSite(t, h.siteOptions)
}

func makeSite(t testing.TB, options SiteOptions) *Site {
	t.Helper()
	site, err := NewSite(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { site.Close() })
	return site
}

func (h *home) newAgent(t testing.TB) *Agent {
	t.Helper()
	return makeAgent(t, h.agentOptions)
}

func makeAgent(t testing.TB, options AgentOptions) *Agent {
	t.Helper()
	agent, err := NewAgent(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agent.Close() })
	return agent
}

func makeSesame(t testing.TB, options SesameOptions) *Sesame {
	t.Helper()
	sesame, err := NewSesame(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sesame.Close() })
	return sesame
}

// newSesame makes a client with a key that no other test has.
func newSesame(t testing.TB) *Sesame {
	t.Helper()
	s := shared(t)
	key := s.post(t, "/api-keys", values{})
	return makeSesame(t, SesameOptions{APIKey: key["api_key"].(string), BaseURL: s.SesameURL})
}

func createRequest(t testing.TB, site *Site) string {
	t.Helper()
	request, err := site.CreateLoginRequest(watched(t))
	if err != nil {
		t.Fatal(err)
	}
	return request.RequestID
}

// watched is a context for calls that are to end well: a test that hangs ends with it.
func watched(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// receive takes from a channel, and fails rather than hang.
func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case value, ok := <-from:
		if !ok {
			t.Fatal("the channel is closed")
		}
		return value
	case <-watched(t).Done():
		t.Fatal("nothing came")
	}
	panic("not reached")
}

// eventually waits until a condition holds that nothing tells of.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx := watched(t)
	for !holds() {
		if ctx.Err() != nil {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
