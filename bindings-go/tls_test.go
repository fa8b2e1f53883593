package lime

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Well-formed, signed by nobody: its key is asked for.
const unknownKey = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA"

// tlsServer is a platform over TLS that answers a few calls, and counts them.
func tlsServer(t *testing.T) (string, *atomic.Int64) {
	t.Helper()
	files := filepath.Join(root, "tests/tls")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(files, "good.pem"), filepath.Join(files, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	requests := new(atomic.Int64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		self := "https://" + r.Host
		var said any = map[string]any{"ok": true, "data": map[string]string{
			"login_request_id": "lr_1", "status": "PENDING", "expires_at": "2126-01-01T00:00:00Z", "agent_id": "a", "owner_id": "o",
		}}
		switch {
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			said = map[string]string{"approval_id": "apr_1", "status": "pending"}
		case strings.HasSuffix(r.URL.Path, "/oauth-authorization-server"):
			said = map[string]string{"issuer": self, "jwks_uri": self + "/keys"}
		case r.URL.Path == "/keys":
			said = map[string]any{"keys": []any{map[string]string{"kid": "of nobody"}}}
		}
		if err := json.NewEncoder(w).Encode(said); err != nil {
			t.Error(err)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // others look at the certificate and go
	server.StartTLS()
	t.Cleanup(server.Close)
	// The library's clients for pinned servers read it when they are made.
	t.Setenv("SSL_CERT_FILE", filepath.Join(files, "roots.pem"))
	return server.URL, requests
}

// tlsCalls is what each client asks for with these pins.
func tlsCalls(origin string, pins []string) map[string]func() error {
	ctx := context.Background()
	api := origin + "/api/v1"
	return map[string]func() error{
		"site": func() error {
			site, err := NewSite(SiteOptions{SiteToken: "st_x", BaseURL: api, MaxRetries: -1, TLSPins: pins})
			if err != nil {
				return err
			}
			defer site.Close()
			_, err = site.CreateLoginRequest(ctx)
			return err
		},
		"agent": func() error {
			agent, err := NewAgent(AgentOptions{AgentToken: "at_x", BaseURL: api, MaxRetries: -1, TLSPins: pins})
			if err != nil {
				return err
			}
			defer agent.Close()
			_, err = agent.Profile(ctx)
			return err
		},
		"sesame": func() error {
			sesame, err := NewSesame(SesameOptions{APIKey: "sk_x", BaseURL: origin, MaxRetries: -1, TLSPins: pins})
			if err != nil {
				return err
			}
			defer sesame.Close()
			_, err = sesame.Get(ctx, "apr_1")
			return err
		},
		"verifier": func() error {
			verifier, err := NewTokenVerifier(TokenVerifierOptions{
				ExpectedDomain: "tools.example.com", BaseURL: origin, TLSPins: pins,
			})
			if err != nil {
				return err
			}
			defer verifier.Close()
			_, err = verifier.Verify(ctx, unknownKey)
			if errors.Is(err, ErrInvalidToken) {
				return nil // which keys there are is known: not that one
			}
			return err
		},
	}
}

func TestTheKeyOfAServerHasToBeOneOfThePins(t *testing.T) {
	var pins map[string]string
	file, err := os.ReadFile(filepath.Join(root, "tests/tls/pins.json"))
	if err == nil {
		err = json.Unmarshal(file, &pins)
	}
	if err != nil {
		t.Fatal(err)
	}
	origin, requests := tlsServer(t)
	for name, call := range tlsCalls(origin, []string{pins["other"], pins["good"]}) {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	seen := requests.Load()
	for name, call := range tlsCalls(origin, []string{pins["other"]}) {
		if err := call(); err == nil || !strings.Contains(err.Error(), "is none of tls_pins") {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Setenv("LIME_TLS_PINS", pins["next"])
	t.Setenv("SESAME_TLS_PINS", pins["next"])
	for name, call := range tlsCalls(origin, nil) {
		if err := call(); err == nil || !strings.Contains(err.Error(), "is none of tls_pins") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := requests.Load(); seen != 5 || got != seen {
		t.Errorf("%d requests, then %d", seen, got)
	}
	for _, wrong := range [][]string{{"sha256/"}, {pins["good"], ""}, {"a\x00b"}} {
		for name, call := range tlsCalls(origin, wrong) {
			if err := call(); !errors.Is(err, ErrInvalidArgument) {
				t.Errorf("%s, %q: %v", name, wrong, err)
			}
		}
	}
	_, err = NewAgent(AgentOptions{AgentToken: "at_x", TLSPins: []string{pins["good"]}, Transport: http.DefaultTransport})
	if !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("with a transport: %v", err)
	}
}
