package lime

// #include "bridge.h"
import "C"

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// The headers of a webhook.
const (
	// SignatureHeader has the signature.
	SignatureHeader = C.LIME_WEBHOOK_SIGNATURE_HEADER
	// TimestampHeader has the time of sending, in Unix seconds. It is not signed.
	TimestampHeader = C.LIME_WEBHOOK_TIMESTAMP_HEADER
)

// Why a webhook must not be trusted: the Code of an [ErrWebhook]. The first that applies is told.
const (
	// RefusalEmptySecret: the verifier has no secret, or one that is empty or white space.
	RefusalEmptySecret = C.LIME_REFUSAL_EMPTY_SECRET
	// RefusalMissingHeader: one of the two headers is not there, or empty.
	RefusalMissingHeader = C.LIME_REFUSAL_MISSING_HEADER
	// RefusalMalformedHeader: a header is there twice, the signature is not 64 hexadecimal digits, or the timestamp is
	// not ASCII digits.
	RefusalMalformedHeader = C.LIME_REFUSAL_MALFORMED_HEADER
	// RefusalTooOld: the timestamp lies further in the past than the tolerance allows.
	RefusalTooOld = C.LIME_REFUSAL_TOO_OLD
	// RefusalTooNew: the timestamp lies further in the future than the tolerance allows.
	RefusalTooNew = C.LIME_REFUSAL_TOO_NEW
	// RefusalMismatch: no secret gives this signature.
	RefusalMismatch = C.LIME_REFUSAL_MISMATCH
	// RefusalNotJSON: the body is signed, but no JSON.
	RefusalNotJSON = C.LIME_REFUSAL_NOT_JSON
	// RefusalNotAnObject: the body is signed, but no JSON object.
	RefusalNotAnObject = C.LIME_REFUSAL_NOT_AN_OBJECT
	// RefusalReplayed: the replay guard has let this body in before.
	RefusalReplayed = C.LIME_REFUSAL_REPLAYED
	// RefusalUndatable: the replay guard cannot tell: the body has no "decided_at", or one that lies further back than
	// the guard remembers.
	RefusalUndatable = C.LIME_REFUSAL_UNDATABLE
)

// A Webhook is a webhook of the broker that can be trusted.
type Webhook struct {
	// ApprovalID is the approval that was decided.
	ApprovalID string
	// Action is what was asked for, such as "payments.refund".
	Action string
	// Status is the decision: [ApprovalApproved], [ApprovalDenied] or [ApprovalExpired].
	Status string
	// DecidedAt is when it was decided; the zero time when the payload does not tell.
	DecidedAt time.Time
	// RequesterLabel is the label of whoever asked for it.
	RequesterLabel string
	// DedupKey is the request's own, if it had one.
	DedupKey string
	// Timestamp is what the timestamp header said. It is not signed.
	Timestamp time.Time
	// Payload is the whole payload. Numbers are [json.Number], so that none is rounded.
	Payload map[string]any
	// PayloadJSON is the same as a JSON object.
	PayloadJSON json.RawMessage
}

// Approved reports whether a human granted it. Nothing else means "go on".
func (w *Webhook) Approved() bool { return w != nil && w.Status == ApprovalApproved }

// WebhookOptions say how to make a [WebhookVerifier].
type WebhookOptions struct {
	// Secrets are the secrets, any of which may have signed, as while one replaces the other. An empty one, or one of
	// white space, makes the verifier refuse everything: anybody could sign with it.
	Secrets []string
	// Tolerance is how far the timestamp may lie in the past or in the future. 0 is the default, 5 minutes; with a
	// negative one the timestamp must be this very second.
	Tolerance time.Duration
	// ReplayGuard lets every body in once only; nil is no guard.
	ReplayGuard *ReplayGuard
	// MaxBody is the largest body, in bytes, that VerifyRequest reads. 0 is the default, 1 MiB.
	MaxBody int64
	// Now is the clock, for tests; nil is the machine's.
	Now func() time.Time
}

// Format shows the options without the secrets.
func (o WebhookOptions) Format(state fmt.State, verb rune) { format(state, verb, o.LogValue()) }

// LogValue shows the options without the secrets.
func (o WebhookOptions) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("Secrets", len(o.Secrets)), slog.Duration("Tolerance", o.Tolerance))
}

// A ReplayGuard lets every body in once only, in this process. It remembers bodies by their "decided_at", which is
// signed, and refuses what was decided too long ago to tell. Memory is bounded: when there are too many bodies the
// oldest are forgotten, and everything as old as they are is refused.
type ReplayGuard struct {
	// Horizon is for how long a decision is remembered. 0 is the default, a day.
	Horizon time.Duration
	// Capacity is for how many decisions there is room. 0 is the default, 100,000 (some 15 MB when it is full).
	Capacity int
}

// A WebhookVerifier verifies the webhooks by which the broker reports decisions to an [ApprovalRequest]'s CallbackURL.
// Make one for each endpoint and keep it: with a replay guard it has a memory. Any number of goroutines may use it at
// once. It needs no closing.
//
// The wire does not sign the timestamp. Whoever has once seen a delivery can send its body again, signature and all,
// with a fresh timestamp, at any later time; the tolerance does not stop that. The remedies, best first:
//
//  1. Treat a webhook as a hint: read the approval from the broker ([Sesame.Get]) and act on that, once for each
//     ApprovalID.
//  2. Record each ApprovalID where the decision takes effect, in the same transaction.
//  3. Give the verifier a [ReplayGuard], which does the same in this process's memory.
type WebhookVerifier struct {
	handle  *C.lime_webhook_verifier
	maxBody int64
	now     func() time.Time
	// mutex is for a verifier with a clock of its own, which is set before each delivery.
	mutex sync.Mutex
}

const (
	defaultHorizon  = 24 * time.Hour
	defaultCapacity = 100_000
	defaultMaxBody  = 1 << 20
)

// NewWebhookVerifier makes a verifier. One without a secret refuses everything.
//
// It fails with [ErrInvalidArgument] for negative numbers.
func NewWebhookVerifier(options WebhookOptions) (*WebhookVerifier, error) {
	if err := checkABI(); err != nil {
		return nil, err
	}
	if options.MaxBody < 0 {
		return nil, invalid("MaxBody is negative")
	}
	v := &WebhookVerifier{handle: C.lime_webhook_verifier_new(), maxBody: options.MaxBody, now: options.Now}
	runtime.AddCleanup(v, func(handle unsafe.Pointer) {
		C.lime_webhook_verifier_free((*C.lime_webhook_verifier)(handle))
	}, unsafe.Pointer(v.handle))
	if v.maxBody == 0 {
		v.maxBody = defaultMaxBody
	}
	var set settings
	for _, secret := range options.Secrets {
		pointer, length := span([]byte(secret))
		set.check("Secrets", C.lime_webhook_verifier_add_secret(v.handle, pointer, length))
	}
	set.duration("Tolerance", options.Tolerance, true, func(tolerance C.uint64_t) C.int32_t {
		return C.lime_webhook_verifier_set_tolerance_ms(v.handle, tolerance)
	})
	if guard := options.ReplayGuard; guard != nil {
		if guard.Horizon < 0 || guard.Capacity < 0 {
			return nil, invalid("ReplayGuard has a negative number")
		}
		horizon, capacity := guard.Horizon, guard.Capacity
		if horizon == 0 {
			horizon = defaultHorizon
		}
		if capacity == 0 {
			capacity = defaultCapacity
		}
		set.check("ReplayGuard", C.lime_webhook_verifier_set_replay_guard(v.handle, millis(horizon), C.size_t(capacity)))
	}
	if set.err != nil {
		return nil, set.err
	}
	return v, nil
}

// Verify verifies one delivery: that a secret signed it, and that it is fresh. It does not block. The body is the raw
// bytes as they arrived, not what was parsed and written anew. Headers may be in any case, or named as in a CGI
// environment.
//
// It fails with [ErrWebhook] whatever is wrong; the error's Code is a Refusal constant.
func (v *WebhookVerifier) Verify(header http.Header, body []byte) (*Webhook, error) {
	defer runtime.KeepAlive(v)
	if v.now != nil {
		v.mutex.Lock()
		defer v.mutex.Unlock()
		if status := C.lime_webhook_verifier_set_now_unix_seconds(v.handle, unixSeconds(v.now())); status != C.LIME_OK {
			return nil, invalid("Now gives no time after 1970")
		}
	}
	packed, count := pack(header)
	pointer, length := span(body)
	var webhook *C.lime_webhook
	var failure *C.lime_error
	status := within(func() C.int32_t {
		return C.lime_go_webhook_verify(v.handle, (*C.char)(unsafe.Pointer(unsafe.SliceData(packed))), C.size_t(count),
			pointer, length, &webhook, &failure)
	})
	if status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	return readWebhook(webhook)
}

// VerifyRequest reads the body of a request, WebhookOptions.MaxBody bytes at most, and verifies it. Nothing may have
// read from the body before.
//
// It fails as [WebhookVerifier.Verify]. When the body cannot be read, the error is [ErrTransport] and what the body
// gave, or an [*http.MaxBytesError] when it is too large.
func (v *WebhookVerifier) VerifyRequest(request *http.Request) (*Webhook, error) {
	if request.Body == nil {
		return v.Verify(request.Header, nil)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, request.Body, v.maxBody))
	if err != nil {
		return nil, &Error{Kind: KindTransport, Message: "The body of the webhook could not be read", causes: []error{err}}
	}
	return v.Verify(request.Header, body)
}

// Forget lets a body in again that the replay guard has let in: for a receiver that could not handle it, answers with
// an error and will be sent it once more. It reports whether the guard had let it in.
func (v *WebhookVerifier) Forget(body []byte) bool {
	defer runtime.KeepAlive(v)
	pointer, length := span(body)
	return C.lime_webhook_verifier_forget(v.handle, pointer, length) == 1
}

// pack writes headers as C reads them: names and values, each with a NUL after it. A NUL inside is a byte that no
// signature and no timestamp has, so that nothing is cut off.
func pack(header http.Header) (packed []byte, count int) {
	add := func(text string) {
		packed = append(append(packed, strings.ReplaceAll(text, "\x00", "\xff")...), 0)
	}
	for name, values := range header {
		for _, value := range values {
			add(name)
			add(value)
			count++
		}
	}
	return packed, count
}

// readWebhook copies a webhook, and frees it.
func readWebhook(webhook *C.lime_webhook) (*Webhook, error) {
	defer C.lime_webhook_free(webhook)
	document := C.GoString(C.lime_webhook_payload_json(webhook))
	payload, err := object(document)
	if err != nil {
		return nil, err
	}
	read := &Webhook{
		ApprovalID:     member(payload, "approval_id"),
		Action:         member(payload, "action"),
		Status:         member(payload, "status"),
		RequesterLabel: member(payload, "requester_label"),
		DedupKey:       member(payload, "dedup_key"),
		Timestamp:      time.Unix(int64(C.lime_webhook_timestamp(webhook)), 0).UTC(),
		Payload:        payload,
		PayloadJSON:    json.RawMessage(document),
	}
	// A payload need not have a time that can be read; then it has none here.
	if decided, err := ParseTimestamp(member(payload, "decided_at")); err == nil {
		read.DecidedAt = decided
	}
	return read, nil
}

// SignWebhook signs a body as the broker does, and gives the two headers: for tests of programs that receive webhooks.
//
// It fails with [ErrWebhook] when the secret is empty or white space, and with [ErrInvalidArgument] for a time
// before 1970.
func SignWebhook(body []byte, secret string, sent time.Time) (http.Header, error) {
	if sent.Unix() < 0 {
		return nil, invalid("The time of sending lies before 1970")
	}
	return signWebhook(body, secret, uint64(sent.Unix()))
}

func signWebhook(body []byte, secret string, timestamp uint64) (http.Header, error) {
	pointer, length := span(body)
	key, keyLength := span([]byte(secret))
	signature := make([]byte, C.LIME_WEBHOOK_SIGNATURE_SIZE)
	var failure *C.lime_error
	status := C.lime_webhook_sign(pointer, length, key, keyLength, C.uint64_t(timestamp),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(signature))), C.size_t(len(signature)), &failure)
	if status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	header := http.Header{}
	header.Set(SignatureHeader, string(signature[:len(signature)-1]))
	header.Set(TimestampHeader, strconv.FormatUint(timestamp, 10))
	return header, nil
}
