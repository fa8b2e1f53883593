package lime

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const toolsDomain = "tools.example.com"

// token issues one, with claims over the usual ones.
func (s *sandbox) token(t testing.TB, domain string, claims values) string {
	t.Helper()
	body := values{"domain": domain}
	if claims != nil {
		body["claims"] = claims
	}
	token, _ := s.control(t, "POST", "/mcp-tokens", body)["access_token"].(string)
	return token
}

func newTokenVerifier(t testing.TB, options TokenVerifierOptions) *TokenVerifier {
	t.Helper()
	if options.ExpectedDomain == "" {
		options.ExpectedDomain = toolsDomain
	}
	verifier, err := NewTokenVerifier(options)
	ok(t, err)
	t.Cleanup(func() { ok(t, verifier.Close()) })
	return verifier
}

func TestTokenVerifierVerifiesTokensOfThePlatform(t *testing.T) {
	leavesNothing(t)
	platform := startSandbox(t)
	verifier := newTokenVerifier(t, TokenVerifierOptions{BaseURL: platform.BaseURL, ExpectedDomain: "https://Tools.Example.com/mcp"})
	equal(t, "domain", verifier.ExpectedDomain(), toolsDomain)
	good := platform.token(t, toolsDomain, nil)
	for range 2 {
		token, err := verifier.Verify(watched(t), good)
		ok(t, err)
		equal(t, "domain", token.Domain, toolsDomain)
		if token.AgentID == "" || token.Claims["aud"] != "mcp" || !json.Valid(token.ClaimsJSON) {
			t.Errorf("got %+v", token)
		}
	}
	equal(t, "fetches", verifier.Fetches(), 1)
	ok(t, verifier.WarmUp(watched(t)))
	ok(t, verifier.WarmUp(watched(t)))
	equal(t, "fetches", verifier.Fetches(), 2)
	verifier.ForgetKeys()
	_, err := verifier.Verify(watched(t), good)
	ok(t, err)
	equal(t, "fetches", verifier.Fetches(), 3)
	ok(t, verifier.Close())
	if _, err := verifier.Verify(watched(t), good); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	equal(t, "fetches", verifier.Fetches(), 0)
}

func TestTokenVerifierSaysWhyATokenIsRefused(t *testing.T) {
	platform := shared(t)
	verifier := newTokenVerifier(t, TokenVerifierOptions{})
	for code, token := range map[string]string{
		TokenWrongDomain:    platform.token(t, "other.example.com", nil),
		TokenInvalidDomain:  platform.token(t, "Tools.example.com", nil),
		TokenMissingDomain:  platform.token(t, "", nil),
		TokenExpired:        platform.token(t, toolsDomain, values{"exp": 1}),
		TokenWrongIssuer:    platform.token(t, toolsDomain, values{"iss": "https://lime.pics"}),
		TokenWrongAudience:  platform.token(t, toolsDomain, values{"aud": "lime-site-login"}),
		TokenForbiddenClaim: platform.token(t, toolsDomain, values{"user_id": "u"}),
		TokenMissingSubject: platform.token(t, toolsDomain, values{"sub": " "}),
		TokenInvalidClaim:   platform.token(t, toolsDomain, values{"exp": nil}),
		TokenNotYetValid:    platform.token(t, toolsDomain, values{"nbf": 1e11}),
		TokenMalformed:      "no token",
	} {
		_, err := verifier.Verify(watched(t), token)
		var e *Error
		if !errors.Is(err, ErrInvalidToken) || !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: got %v", code, err)
		}
	}
	if _, err := verifier.Verify(watched(t), "a\x00b"); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("a NUL: %v", err)
	}
}

func TestTokenVerifierWithoutAHostNameIsNone(t *testing.T) {
	for _, domain := range []string{"", "localhost", "tools.example.com:80", "10.0.0.1"} {
		if _, err := NewTokenVerifier(TokenVerifierOptions{ExpectedDomain: domain}); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%q: %v", domain, err)
		}
	}
	if _, err := NewTokenVerifier(TokenVerifierOptions{ExpectedDomain: toolsDomain, Timeout: -1}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a negative timeout: %v", err)
	}
}

func TestTokenVerifierFetchesOnceForAll(t *testing.T) {
	leavesNothing(t)
	platform := shared(t)
	var requests counter
	verifier := newTokenVerifier(t, TokenVerifierOptions{Transport: &requests, UserAgent: "go/1"})
	good := platform.token(t, toolsDomain, nil)
	var all sync.WaitGroup
	for range 100 {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := verifier.Verify(context.Background(), good); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	equal(t, "fetches", verifier.Fetches(), 1)
	equal(t, "requests", strings.Join(requests.agents, " "), "go/1 go/1")
}

// counter carries requests and notes who sends them.
type counter struct {
	mutex  sync.Mutex
	agents []string
}

func (c *counter) RoundTrip(request *http.Request) (*http.Response, error) {
	c.mutex.Lock()
	c.agents = append(c.agents, request.UserAgent())
	c.mutex.Unlock()
	return plainClient.Transport.RoundTrip(request)
}

func TestMiddlewareLetsOnlyTokensForThisServerIn(t *testing.T) {
	platform := startSandbox(t)
	clock, err := NewClock(time.Now(), true)
	ok(t, err)
	verifier := newTokenVerifier(t, TokenVerifierOptions{BaseURL: platform.BaseURL, Clock: clock})
	metadata := "https://tools.example.com/.well-known/oauth-protected-resource"
	show := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if token := TokenFromContext(request.Context()); token != nil {
			io.WriteString(writer, token.Domain)
		}
	})
	handler := verifier.Middleware(show, MiddlewareOptions{ResourceMetadata: metadata, Exclude: []string{"/health"}})
	get := func(path string, authorization ...string) *httptest.ResponseRecorder {
		request := httptest.NewRequest("GET", path, nil)
		for _, value := range authorization {
			request.Header.Add("Authorization", value)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder
	}
	good := "Bearer " + platform.token(t, toolsDomain, nil)
	platform.control(t, "POST", "/faults", values{"route": "mcp_metadata", "status": 503, "count": 2})
	down := get("/", good)
	equal(t, "status", down.Code, 503)
	if down.Header().Get("Retry-After") == "" || down.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("got %v", down.Header())
	}
	clock.Advance(5 * time.Second)

	equal(t, "body", get("/", good).Body.String(), toolsDomain)
	equal(t, "body", get("/health").Body.String(), "")
	equal(t, "status", get("/health").Code, 200)
	missing := get("/")
	equal(t, "status", missing.Code, 401)
	equal(t, "challenge", missing.Header().Get("WWW-Authenticate"), `Bearer resource_metadata="`+metadata+`"`)
	equal(t, "type", missing.Header().Get("Content-Type"), "application/json")
	wrong := get("/", "Bearer "+platform.token(t, "other.example.com", nil))
	equal(t, "status", wrong.Code, 401)
	equal(t, "body", wrong.Body.String(), `{"error":"invalid_token","error_description":"Domain mismatch"}`)
	equal(t, "status", get("/", good, good).Code, 400)
	equal(t, "status", get("/", good, good, good).Code, 400)
	equal(t, "status", get("/", "Basic YTpi").Code, 401)
	equal(t, "status", get("/", "Bearer a\x00b").Code, 401)
}
