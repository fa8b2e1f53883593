package lime

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const hook = `{"approval_id":"ap_1","action":"a.b","status":"approved","decided_at":"2026-06-15T15:06:39.5+02:00","n":18446744073709551615}`

// signed is a request with a webhook in it.
func signed(t testing.TB, body, secret string, sent time.Time) *http.Request {
	t.Helper()
	header, err := SignWebhook([]byte(body), secret, sent)
	ok(t, err)
	request := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(body))
	for name := range header {
		request.Header.Set(name, header.Get(name))
	}
	return request
}

func code(t testing.TB, err error) string {
	t.Helper()
	var e *Error
	if !errors.Is(err, ErrWebhook) || !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	return e.Code
}

func TestVerifyRequest(t *testing.T) {
	verifier, err := NewWebhookVerifier(WebhookOptions{Secrets: []string{"whsec"}, MaxBody: 200})
	ok(t, err)
	webhook, err := verifier.VerifyRequest(signed(t, hook, "whsec", time.Now()))
	ok(t, err)
	equal(t, "approval", webhook.ApprovalID, "ap_1")
	equal(t, "approved", webhook.Approved(), true)
	equal(t, "time of the decision", webhook.DecidedAt.Format(time.RFC3339Nano), "2026-06-15T15:06:39.5+02:00")
	equal(t, "number", webhook.Payload["n"].(interface{ String() string }).String(), "18446744073709551615")
	if time.Since(webhook.Timestamp) > time.Minute {
		t.Errorf("sent at %v", webhook.Timestamp)
	}

	_, err = verifier.VerifyRequest(signed(t, hook, "other", time.Now()))
	equal(t, "another secret", code(t, err), RefusalMismatch)
	_, err = verifier.VerifyRequest(signed(t, hook, "whsec", time.Now().Add(-time.Hour)))
	equal(t, "an hour ago", code(t, err), RefusalTooOld)
	_, err = verifier.VerifyRequest(httptest.NewRequest(http.MethodPost, "/hook", nil))
	equal(t, "nothing", code(t, err), RefusalMissingHeader)
	_, err = verifier.VerifyRequest(&http.Request{Header: http.Header{}})
	equal(t, "no body", code(t, err), RefusalMissingHeader)
	_, err = verifier.VerifyRequest(signed(t, `{"n":"`+strings.Repeat("x", 300)+`"}`, "whsec", time.Now()))
	var large *http.MaxBytesError
	if !errors.As(err, &large) || large.Limit != 200 || !errors.Is(err, ErrTransport) {
		t.Errorf("a large body: %v", err)
	}
	broken := signed(t, hook, "whsec", time.Now())
	broken.Body = io.NopCloser(io.MultiReader(strings.NewReader(hook[:20]), failing{}))
	if _, err = verifier.VerifyRequest(broken); !errors.Is(err, errBroken) {
		t.Errorf("a body that breaks off: %v", err)
	}

	// A NUL hides nothing behind it.
	for _, name := range []string{SignatureHeader, TimestampHeader} {
		odd := signed(t, hook, "whsec", time.Now())
		odd.Header.Set(name, odd.Header.Get(name)+"\x00trailing")
		_, err = verifier.VerifyRequest(odd)
		equal(t, "a NUL in "+name, code(t, err), RefusalMalformedHeader)
	}
	odd := signed(t, hook, "whsec", time.Now())
	odd.Header[SignatureHeader+"\x00"] = odd.Header[SignatureHeader]
	delete(odd.Header, SignatureHeader)
	_, err = verifier.VerifyRequest(odd)
	equal(t, "a NUL in the name", code(t, err), RefusalMissingHeader)

	// More headers than there is room for on the stack.
	many := signed(t, hook, "whsec", time.Now())
	for each := range 100 {
		many.Header.Add("X-Other", strings.Repeat("y", each))
	}
	_, err = verifier.VerifyRequest(many)
	ok(t, err)
}

var errBroken = errors.New("broken off")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func TestVerifiersWithoutSecrets(t *testing.T) {
	for _, secrets := range [][]string{nil, {""}, {" \t"}, {"whsec", ""}} {
		verifier, err := NewWebhookVerifier(WebhookOptions{Secrets: secrets})
		ok(t, err)
		_, err = verifier.VerifyRequest(signed(t, hook, "whsec", time.Now()))
		equal(t, "code", code(t, err), RefusalEmptySecret)
	}
	_, err := SignWebhook([]byte(hook), " ", time.Now())
	equal(t, "code", code(t, err), RefusalEmptySecret)
	if _, err := SignWebhook([]byte(hook), "whsec", time.Unix(-1, 0)); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("before 1970: %v", err)
	}
	before, err := NewWebhookVerifier(WebhookOptions{Secrets: []string{"x"}, Now: func() time.Time { return time.Time{} }})
	ok(t, err)
	if _, err := before.Verify(nil, nil); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("before 1970: %v", err)
	}
}

func TestGoroutinesShareAVerifier(t *testing.T) {
	var inside atomic.Int32
	// A clock of its own is set and used by one goroutine at a time.
	now := func() time.Time {
		if inside.Add(1) != 1 {
			t.Error("two at once")
		}
		runtime.Gosched()
		defer inside.Add(-1)
		return time.Now()
	}
	for _, options := range []WebhookOptions{
		{Secrets: []string{"whsec"}, ReplayGuard: &ReplayGuard{Horizon: 24 * 365 * 100 * time.Hour, Capacity: 10}},
		{Secrets: []string{"whsec"}, ReplayGuard: &ReplayGuard{Horizon: 24 * 365 * 100 * time.Hour}, Now: now},
	} {
		verifier, err := NewWebhookVerifier(options)
		ok(t, err)
		header, err := SignWebhook([]byte(hook), "whsec", time.Now())
		ok(t, err)
		var workers sync.WaitGroup
		var accepted atomic.Int32
		for range 8 {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for range 200 {
					if _, err := verifier.Verify(header, []byte(hook)); err == nil {
						accepted.Add(1)
					}
				}
			}()
		}
		workers.Wait()
		equal(t, "accepted", accepted.Load(), 1)
	}
}

func TestPureFunctionsOfStreams(t *testing.T) {
	parser := NewSSEParser()
	events, err := parser.Feed([]byte("id: 7\nretry: 5\ndata: a\x00b\n\n"))
	ok(t, err)
	equal(t, "events", len(events), 1)
	equal(t, "event", events[0], SSEEvent{Event: "message", Data: "a\x00b", ID: "7"})
	events, err = parser.Feed(append([]byte("data: before\n\n"), bytes.Repeat([]byte("x"), 2<<20)...))
	if !errors.Is(err, ErrBadResponse) || len(events) != 1 || events[0].Data != "before" {
		t.Errorf("a line of 2 MiB: %v, %v", events, err)
	}
	for _, status := range []int{-1, 70_000, 1 << 40} {
		if _, err := OpenEnvelope(status, []byte("{}")); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}
