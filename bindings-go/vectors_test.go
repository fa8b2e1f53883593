package lime

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestVectors runs the vectors that all languages share, and writes down which have run.
func TestVectors(t *testing.T) {
	var ran []string
	files, err := filepath.Glob(filepath.Join(root, "tests/vectors/*.json"))
	ok(t, err)
	for _, path := range files {
		name := filepath.Base(path)
		if name == "keys.json" {
			continue
		}
		run := map[string]func(*testing.T, *vectorFile, vector){
			"pow.json":           powVector,
			"passports.json":     passportVector,
			"bindings.json":      bindingVector,
			"access_tokens.json": accessTokenVector,
			"mcp_domains.json":   mcpDomainVector,
			"sse.json":           sseVector,
			"envelopes.json":     envelopeVector,
			"timestamps.json":    timestampVector,
			"webhooks.json":      webhookVector,
			"mcp_targets.json":   mcpTargetVector,
		}[name]
		if run == nil {
			t.Errorf("%s has no runner", name)
			continue
		}
		file := readVectors(t, path)
		for _, each := range file.Cases {
			id := name + ":" + each.string("id")
			t.Run(id, func(t *testing.T) {
				ran = append(ran, id)
				run(t, file, each)
			})
		}
	}
	if len(ran) < 1000 {
		t.Errorf("only %d vectors ran", len(ran))
	}
	sort.Strings(ran)
	parity := filepath.Join(root, "build/parity")
	ok(t, os.MkdirAll(parity, 0o755))
	ok(t, os.WriteFile(filepath.Join(parity, "go.txt"), []byte(strings.Join(ran, "\n")+"\n"), 0o644))
}

type vector map[string]any

type vectorFile struct {
	Cases []vector
	JWKS  map[string]json.RawMessage
}

func readVectors(t *testing.T, path string) *vectorFile {
	t.Helper()
	document, err := os.ReadFile(path)
	ok(t, err)
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	file := new(vectorFile)
	ok(t, decoder.Decode(file))
	return file
}

func (v vector) string(name string) string {
	value, _ := v[name].(string)
	return value
}

func (v vector) has(name string) bool { _, has := v[name]; return has }

func (v vector) object(name string) vector {
	value, _ := v[name].(map[string]any)
	return value
}

func (v vector) list(name string) (list []vector) {
	items, _ := v[name].([]any)
	for _, item := range items {
		list = append(list, item.(map[string]any))
	}
	return list
}

func (v vector) int(t *testing.T, name string) int64 {
	t.Helper()
	value, err := v[name].(json.Number).Int64()
	ok(t, err)
	return value
}

func (v vector) uint(t *testing.T, name string) uint64 {
	t.Helper()
	value, err := strconv.ParseUint(string(v[name].(json.Number)), 10, 64)
	ok(t, err)
	return value
}

// bytes is a text or, where there is one, its base64 form.
func (v vector) bytes(t *testing.T, name string) []byte {
	t.Helper()
	if !v.has(name + "_base64") {
		return []byte(v.string(name))
	}
	decoded, err := base64.StdEncoding.DecodeString(v.string(name + "_base64"))
	ok(t, err)
	return decoded
}

// moment is a time in Unix seconds, with a fraction.
func (v vector) moment(t *testing.T, name string) time.Time {
	t.Helper()
	seconds, err := v[name].(json.Number).Float64()
	ok(t, err)
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}

// millis is a time in milliseconds.
func (v vector) millis(t *testing.T, name string) time.Duration {
	t.Helper()
	return time.Duration(v.int(t, name)) * time.Millisecond
}

// sentinelNamed is that of a kind by its name in the vectors.
func sentinelNamed(t *testing.T, name string) error {
	t.Helper()
	for kind, sentinel := range kinds {
		if kind.String() == name {
			return sentinel
		}
	}
	t.Fatalf("no kind is called %q", name)
	return nil
}

// refused checks that an error is what an expectation says.
func refused(t *testing.T, err error, expect vector) *Error {
	t.Helper()
	if !errors.Is(err, sentinelNamed(t, expect.string("error"))) {
		t.Fatalf("got %v, want %v", err, expect)
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *Error", err)
	}
	if !strings.Contains(e.Message, expect.string("message_contains")) {
		t.Errorf("%q does not contain %q", e.Message, expect.string("message_contains"))
	}
	return e
}

// same compares JSON values: numbers by value, but true is not 1.
func same(one, other any) bool {
	switch one := one.(type) {
	case map[string]any:
		other, ok := other.(map[string]any)
		if !ok || len(one) != len(other) {
			return false
		}
		for name, value := range one {
			if twin, has := other[name]; !has || !same(value, twin) {
				return false
			}
		}
		return true
	case []any:
		other, ok := other.([]any)
		if !ok || len(one) != len(other) {
			return false
		}
		for at := range one {
			if !same(one[at], other[at]) {
				return false
			}
		}
		return true
	case json.Number:
		other, ok := other.(json.Number)
		return ok && rational(one).Cmp(rational(other)) == 0
	}
	return reflect.DeepEqual(one, other)
}

func rational(number json.Number) *big.Rat {
	value, ok := new(big.Rat).SetString(string(number))
	if !ok {
		panic("no number: " + number)
	}
	return value
}

func sameJSON(t *testing.T, document []byte, expected any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	ok(t, decoder.Decode(&value))
	if !same(value, expected) {
		t.Errorf("got %s, want %v", document, expected)
	}
}

func passportVector(t *testing.T, file *vectorFile, v vector) {
	check := PassportCheck{RequestID: v.string("expected_request_id"), AnyRequest: !v.has("expected_request_id")}
	check.RequireIssuer, _ = v["require_issuer"].(bool)
	keys := PassportKeys{JWKS: file.JWKS[v.string("jwks")], APIRoot: v.string("api_root"), Now: v.moment(t, "now")}
	passport, err := VerifyPassport(v.string("jwt"), keys, check)
	expect := v.object("expect")
	if expect.has("error") {
		refused(t, err, expect)
		if passport != nil {
			t.Error("there is a passport beside the error")
		}
		return
	}
	ok(t, err)
	if !same(map[string]any(passport.Claims), map[string]any(expect.object("claims"))) {
		t.Errorf("got %v, want %v", passport.Claims, expect["claims"])
	}
	sameJSON(t, passport.ClaimsJSON, expect["claims"])
	equal(t, "agent", passport.AgentID, expect.object("claims").string("agent_id"))
	equal(t, "owner", passport.OwnerID, ownerOf(expect.object("claims")))
	equal(t, "request", passport.RequestID, expect.object("claims").string("request_id"))
}

// ownerOf is the owner by whichever name there is.
func ownerOf(claims vector) string {
	if owner := claims.string("owner_id"); owner != "" {
		return owner
	}
	return claims.string("user_id")
}

func bindingVector(t *testing.T, file *vectorFile, v vector) {
	check := BindingCheck{BindingID: v.string("expected_binding_id"), AnyBinding: !v.has("expected_binding_id")}
	check.RequireIssuer, _ = v["require_issuer"].(bool)
	keys := PassportKeys{JWKS: file.JWKS[v.string("jwks")], APIRoot: v.string("api_root"), Now: v.moment(t, "now")}
	passport, err := VerifyBindingPassport(v.string("jwt"), keys, check)
	expect := v.object("expect")
	if expect.has("error") {
		refused(t, err, expect)
		if passport != nil {
			t.Error("there is a passport beside the error")
		}
		return
	}
	ok(t, err)
	sameJSON(t, passport.ClaimsJSON, expect["claims"])
	equal(t, "binding", passport.BindingID, expect.object("claims").string("binding_id"))
	equal(t, "agent", passport.AgentID, expect.object("claims").string("agent_id"))
	equal(t, "owner", passport.OwnerID, ownerOf(expect.object("claims")))
}

func accessTokenVector(t *testing.T, file *vectorFile, v vector) {
	keys := TokenKeys{JWKS: file.JWKS[v.string("jwks")], Issuer: v.string("issuer"), Now: v.moment(t, "now")}
	check := TokenCheck{ExpectedDomain: v.string("expected_domain"), Audience: v.string("audience")}
	if number, given := v["leeway"].(json.Number); given {
		seconds, err := number.Int64()
		ok(t, err)
		check.Leeway = time.Duration(seconds) * time.Second
		if seconds == 0 {
			check.Leeway = -1
		}
	}
	token, err := VerifyAccessToken(v.string("jwt"), keys, check)
	expect := v.object("expect")
	if expect.has("error") {
		equal(t, "code", refused(t, err, expect).Code, expect.string("code"))
		return
	}
	ok(t, err)
	sameJSON(t, token.ClaimsJSON, expect["claims"])
	equal(t, "agent", token.AgentID, expect.object("claims").string("sub"))
	equal(t, "domain", token.Domain, v.string("expected_domain"))
}

func mcpDomainVector(t *testing.T, _ *vectorFile, v vector) {
	canonical, err := NormalizeMCPDomain(v.string("domain"))
	expect := v.object("expect")
	if expect.has("error") {
		refused(t, err, expect)
		return
	}
	ok(t, err)
	equal(t, "domain", canonical, expect.string("canonical"))
}

func sseVector(t *testing.T, _ *vectorFile, v vector) {
	input := v.bytes(t, "input")
	for _, size := range []int{max(len(input), 1), 1, 2} {
		parser := NewSSEParser()
		var events []SSEEvent
		for from := 0; from < len(input); from += size {
			completed, err := parser.Feed(input[from:min(from+size, len(input))])
			ok(t, err)
			events = append(events, completed...)
		}
		expected := v.list("events")
		if len(events) != len(expected) {
			t.Fatalf("chunks of %d: %d events, want %d", size, len(events), len(expected))
		}
		for at, event := range events {
			want := SSEEvent{Event: expected[at].string("event"), Data: expected[at].string("data"), ID: expected[at].string("id")}
			equal(t, "event", event, want)
			if frames := v.list("frames"); frames != nil {
				frameOf(t, event.Data, frames[at])
			}
		}
		equal(t, "last event id", parser.LastEventID(), v.string("last_event_id"))
		retry, has := parser.RetryMillis()
		equal(t, "whether there is a retry", has, v["retry_ms"] != nil)
		if has {
			want := v.uint(t, "retry_ms")
			equal(t, "retry", uint64(retry), min(want, math.MaxInt64))
		}
	}
}

func frameOf(t *testing.T, data string, expected vector) {
	t.Helper()
	frame, err := ParseLoginFrame([]byte(data))
	ok(t, err)
	equal(t, "kind", frame.Kind.String(), expected.string("kind"))
	equal(t, "request id", frame.Event.RequestID, expected.string("request_id"))
	equal(t, "passport", frame.Event.Passport, expected.string("passport"))
	equal(t, "code", frame.Code, expected.string("code"))
	if frame.Kind == FrameMalformed {
		equal(t, "whether it is said why", frame.Message != "", true)
	} else {
		equal(t, "message", frame.Message, expected.string("message"))
	}
}

func envelopeVector(t *testing.T, _ *vectorFile, v vector) {
	data, err := OpenEnvelope(int(v.int(t, "http_status")), v.bytes(t, "body"))
	expect := v.object("expect")
	if !expect.has("error") {
		ok(t, err)
		sameJSON(t, data, expect["data"])
		return
	}
	expected := expect.object("error")
	e := refused(t, err, vector{"error": expected["kind"]})
	equal(t, "message", e.Message, expected.string("message"))
	equal(t, "code", e.Code, expected.string("code"))
	status := int64(0)
	if expected["http_status"] != nil {
		status = expected.int(t, "http_status")
	}
	equal(t, "HTTP status", int64(e.HTTPStatus), status)
	if expected["detail"] == nil {
		equal(t, "whether there is a detail", e.Detail != nil, false)
	} else {
		sameJSON(t, e.Detail, expected["detail"])
	}
}

func timestampVector(t *testing.T, _ *vectorFile, v vector) {
	text := v.string("text")
	moment, err := ParseTimestamp(text)
	if v.has("error") {
		refused(t, err, v)
		equal(t, "time", moment, time.Time{})
		return
	}
	ok(t, err)
	equal(t, "microseconds", moment.UnixMicro(), v.int(t, "unix_micros"))
	_, offset := moment.Zone()
	want := int64(0)
	if v["offset_seconds"] != nil {
		want = v.int(t, "offset_seconds")
	}
	equal(t, "offset of the time", int64(offset), want)
	_, written, err := parseTimestamp(text)
	ok(t, err)
	equal(t, "whether an offset was written", int64(written) != noOffset, v["offset_seconds"] != nil)
}

func mcpTargetVector(t *testing.T, _ *vectorFile, v vector) {
	expect := v.object("expect")
	for member, read := range map[string]func(string) (string, error){
		"domain": ExtractAndNormalizeDomain,
		"url":    ResolveMCPHTTPURL,
	} {
		found, err := read(v.string("target"))
		if expect.has("error") {
			refused(t, err, expect)
		} else {
			ok(t, err)
		}
		equal(t, member, found, expect.string(member))
	}
}

func webhookVector(t *testing.T, _ *vectorFile, v vector) {
	if v.has("sign") {
		signVector(t, v.object("sign"), v.object("expect"), v)
		return
	}
	var now time.Time
	options := WebhookOptions{Now: func() time.Time { return now }}
	for _, secret := range v.list("secrets") {
		options.Secrets = append(options.Secrets, string(secret.bytes(t, "secret")))
	}
	if v.has("tolerance_ms") {
		options.Tolerance = v.millis(t, "tolerance_ms")
		if options.Tolerance == 0 {
			options.Tolerance = -1
		}
	}
	if v.has("guard") {
		guard := v.object("guard")
		options.ReplayGuard = &ReplayGuard{Horizon: guard.millis(t, "horizon_ms"), Capacity: int(guard.int(t, "capacity"))}
	}
	verifier, err := NewWebhookVerifier(options)
	ok(t, err)
	for _, delivery := range v.list("deliveries") {
		now = delivery.moment(t, "now")
		header := http.Header{}
		for _, field := range delivery.list("headers") {
			name := field.string("name")
			header[name] = append(header[name], string(field.bytes(t, "value")))
		}
		body := delivery.bytes(t, "body")
		webhook, err := verifier.Verify(header, body)
		expect := delivery.object("expect")
		if expect.has("error") {
			equal(t, "code", refused(t, err, expect).Code, expect.string("code"))
			equal(t, "whether there is a webhook", webhook != nil, false)
		} else {
			ok(t, err)
			payload := expect.object("payload")
			if !same(map[string]any(webhook.Payload), map[string]any(payload)) {
				t.Errorf("got %v, want %v", webhook.Payload, payload)
			}
			sameJSON(t, webhook.PayloadJSON, expect["payload"])
			equal(t, "timestamp", uint64(webhook.Timestamp.Unix()), expect.uint(t, "timestamp"))
			equal(t, "approval", webhook.ApprovalID, payload.string("approval_id"))
			equal(t, "status", webhook.Status, payload.string("status"))
			equal(t, "whether it is approved", webhook.Approved(), payload.string("status") == "approved")
		}
		if forget, has := delivery["forget"]; has {
			equal(t, "whether it was known", verifier.Forget(body), forget.(bool))
		}
	}
}

func signVector(t *testing.T, sign, expect, _ vector) {
	header, err := signWebhook(sign.bytes(t, "body"), string(sign.bytes(t, "secret")), sign.uint(t, "timestamp"))
	if expect.has("error") {
		equal(t, "code", refused(t, err, expect).Code, expect.string("code"))
		return
	}
	ok(t, err)
	equal(t, "signature", header.Get(SignatureHeader), expect.string("signature"))
	equal(t, "timestamp", header.Get(TimestampHeader), expect.string("timestamp"))
}

func powVector(t *testing.T, _ *vectorFile, v vector) {
	options := PowOptions{Digest: PowDigestSeed, Timeout: time.Minute}
	if v.string("digest") == "today" {
		options.Digest = PowDigestToday
	}
	if v.has("timeout_ms") {
		options.Timeout = v.millis(t, "timeout_ms")
		if options.Timeout == 0 {
			options.Timeout = -1
		}
	}
	nonce, err := SolvePow(context.Background(), v.string("challenge"), v.int(t, "difficulty"), options)
	if v.has("error") {
		refused(t, err, v)
		return
	}
	ok(t, err)
	equal(t, "nonce", nonce, v.string("nonce"))
}
