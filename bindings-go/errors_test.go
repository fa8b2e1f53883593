package lime

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestKindsAreTheHeaders compares the table with the header, both ways.
func TestKindsAreTheHeaders(t *testing.T) {
	header, err := os.ReadFile(filepath.Join(root, "include/lime.h"))
	ok(t, err)
	inHeader := map[Kind]string{}
	for _, found := range regexp.MustCompile(`(?m)^#define LIME_ERROR_(\w+) (\d+)$`).FindAllStringSubmatch(string(header), -1) {
		number, err := strconv.Atoi(found[2])
		ok(t, err)
		inHeader[Kind(number)] = strings.ToLower(found[1])
	}
	if len(inHeader) < 20 {
		t.Fatalf("only %d in the header", len(inHeader))
	}
	for kind, name := range inHeader {
		equal(t, "name", kind.String(), name)
		if _, has := kinds[kind]; !has {
			t.Errorf("no sentinel for %s", name)
		}
	}
	for kind, sentinel := range kinds {
		if _, has := inHeader[kind]; !has {
			t.Errorf("%v is not in the header", kind)
		}
		equal(t, "sentinel", sentinel.Error(), "lime: "+kind.String())
		equal(t, "whether it is described", len(kind.Description()) > 10, true)
	}
}

// TestSentinelsArePublic finds each kind's sentinel among what the package exports, by its name.
func TestSentinelsArePublic(t *testing.T) {
	source, err := os.ReadFile("kinds.go")
	ok(t, err)
	for kind := range kinds {
		var name strings.Builder
		for _, word := range strings.Split(kind.String(), "_") {
			name.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
		short := strings.NewReplacer("Api", "API", "Mcp", "MCP", "Oauth", "OAuth").Replace(name.String())
		for _, want := range []string{
			fmt.Sprintf(`(?m)^\tErr%s +error = sentinel\(Kind%s\)$`, short, short),
			fmt.Sprintf(`(?m)^\tKind%s: +Err%s,$`, short, short),
			fmt.Sprintf(`(?m)^\tKind%s Kind = C\.LIME_ERROR_%s$`, short, strings.ToUpper(kind.String())),
		} {
			if !regexp.MustCompile(want).Match(source) {
				t.Errorf("no %s", want)
			}
		}
	}
}

// cases are the kinds that are a case of another one.
var cases = map[Kind]Kind{
	KindAgentInactive:       KindAuthentication,
	KindAgentUserSuspended:  KindAuthentication,
	KindAuthUnavailable:     KindAPI,
	KindSiteAuthUnavailable: KindAPI,
	KindOAuthCapability:     KindAPI,
	KindTransportTimeout:    KindTransport,
	KindPassportExpired:     KindInvalidPassport,
	KindPowDifficulty:       KindPowTimeout,
}

func TestErrorsIsAndAs(t *testing.T) {
	for kind, sentinel := range kinds {
		err := fmt.Errorf("while refunding: %w", &Error{Kind: kind, Message: "why"})
		for other, another := range kinds {
			equal(t, fmt.Sprintf("whether %v is %v", kind, other), errors.Is(err, another), kind == other || cases[kind] == other)
		}
		var e *Error
		equal(t, "whether it is an *Error", errors.As(err, &e) && e.Kind == kind, true)
		equal(t, "text", e.Error(), sentinel.Error()+": why")
	}
	cause := errors.New("cause")
	if err := (&Error{Kind: KindTransport, causes: []error{cause}}); !errors.Is(err, cause) || !errors.Is(err, ErrTransport) {
		t.Error("the cause is lost")
	}
}

// TestNumbersOfLaterVersions: a kind that this version does not know is the platform's error, and nothing panics.
func TestNumbersOfLaterVersions(t *testing.T) {
	for _, number := range []int32{-1, 1, 99, 9999, 1<<31 - 1, -1 << 31} {
		err := bare(Kind(number))
		equal(t, "whether it is an API error", errors.Is(err, ErrAPI), true)
		equal(t, "whether it is another", errors.Is(err, ErrTimeout), false)
		equal(t, "parent", Kind(number).Parent(), KindAPI)
		equal(t, "text", err.Error(), "lime: unknown: unknown")
	}
	for _, text := range []string{LoginStage(77).String(), FrameKind(77).String(), StreamState(77).String()} {
		equal(t, "whether the number is shown", strings.HasSuffix(text, "_77"), true)
	}
}

func TestTimeouts(t *testing.T) {
	for kind := range kinds {
		var timeout interface{ Timeout() bool }
		if !errors.As(error(&Error{Kind: kind}), &timeout) {
			t.Fatal("no Timeout method")
		}
		equal(t, kind.String(), timeout.Timeout(), kind == KindTimeout || kind == KindTransportTimeout || kind == KindPowTimeout)
	}
}

func TestErrorsAreRead(t *testing.T) {
	sandbox := startSandbox(t)
	sandbox.post(t, "/faults", values{"route": "create_request", "status": 429, "headers": values{"retry-after": "7"},
		"body": values{"ok": false, "error": values{"code": "RATE_LIMIT_EXCEEDED", "message": "Slow down", "detail": values{"limit": 5}}}})
	site := makeSite(t, SiteOptions{SiteToken: sandbox.SiteToken, BaseURL: sandbox.APIBase, MaxRetries: -1})
	_, err := site.CreateLoginRequest(watched(t))
	var e *Error
	if !errors.Is(err, ErrRateLimit) || !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	want := &Error{Kind: KindRateLimit, Code: "RATE_LIMIT_EXCEEDED", Message: "Slow down", HTTPStatus: 429, RetryAfter: 7 * time.Second}
	got := *e
	got.Detail = nil
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("got %+v", e)
	}
	var detail map[string]int
	ok(t, json.Unmarshal(e.Detail, &detail))
	equal(t, "detail", detail["limit"], 5)
}

// TestSecretsAreNotShown prints everything that has a secret, in every way.
func TestSecretsAreNotShown(t *testing.T) {
	const secret = "s3cr3t"
	for _, value := range []any{
		SiteOptions{SiteToken: secret, BaseURL: "http://shown"},
		&AgentOptions{AgentToken: secret, BaseURL: "http://shown"},
		SesameOptions{APIKey: secret, BaseURL: "http://shown"},
		WebhookOptions{Secrets: []string{secret}},
		LoginEvent{RequestID: "shown", Passport: secret},
		LoginFrame{Event: LoginEvent{Passport: secret}},
		[]LoginEvent{{Passport: secret}},
		struct{ Options SiteOptions }{SiteOptions{SiteToken: secret}},
	} {
		var log strings.Builder
		for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil)} {
			slog.New(handler).Info("it", "value", value)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%T %v"} {
			fmt.Fprintf(&log, strings.Replace(verb, "%T ", "", 1), value)
		}
		fmt.Fprintln(&log, value)
		hidden := fmt.Sprintf("%x", secret)
		if shown := log.String(); strings.Contains(shown, secret) || strings.Contains(strings.ToLower(shown), hidden) {
			t.Errorf("%T shows it: %s", value, shown)
		}
	}
	if shown := fmt.Sprint(SiteOptions{BaseURL: "http://shown"}); !strings.Contains(shown, "http://shown") || strings.Contains(shown, "***") {
		t.Errorf("options are shown as %s", shown)
	}
	if shown := fmt.Sprint(LoginEvent{RequestID: "lr_1", Passport: secret}); !strings.Contains(shown, "lr_1") || !strings.Contains(shown, "***") {
		t.Errorf("an event is shown as %s", shown)
	}
}
