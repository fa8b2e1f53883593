package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"
	"unsafe"
)

// A Sesame is the client of the Sesame broker. Make one for each API key and process; any number of goroutines may
// use it at once.
type Sesame struct {
	client *client
}

// SesameOptions say how to make a [Sesame]. The zero value takes everything from the environment and the defaults.
type SesameOptions struct {
	// APIKey is the secret, "sk_..."; else the environment variable SESAME_API_KEY counts.
	APIKey string
	// BaseURL is the broker's address; else the environment variable SESAME_BROKER_URL counts, then https://getsesame.dev.
	BaseURL string
	// Timeout bounds one attempt of a request, from connecting to the last byte; not a poll that the broker holds. 0 is
	// the default, 30 s.
	Timeout time.Duration
	// MaxRetries is how many further attempts of a call follow a failed one, where that is safe. 0 is the default, 3; a
	// negative number is none. A wait for a decision does not count them: it goes on until its time is up.
	MaxRetries int
	// PollTimeout is how long one poll may take before it counts as hung and the broker is asked again. The broker holds
	// a poll for 25 to 30 s, so less than that gives up polls that are alive. 0 is the default, 40 s.
	PollTimeout time.Duration
	// TLSPins are public keys that the broker's server may have, beside what is checked of every certificate: SHA-256 of
	// the certificate's RawSubjectPublicKeyInfo in base64, "sha256/" in front or not; else the environment variable
	// SESAME_TLS_PINS counts, with commas between. Name the next key before it comes. Not with a Transport.
	TLSPins []string
	// Logger gets the library's log records, on a goroutine; nil is none. No key is in them.
	Logger *slog.Logger
	// Transport carries every request in the library's place; nil is the library's own client. The library keeps the
	// time and follows no redirect. It may be shared.
	Transport http.RoundTripper
	// Clock is where time and chance come from, for tests; nil is the machine's.
	Clock *Clock
}

// Format shows the options without the key.
func (o SesameOptions) Format(state fmt.State, verb rune) { format(state, verb, o.LogValue()) }

// LogValue shows the options without the key.
func (o SesameOptions) LogValue() slog.Value {
	return shown("APIKey", o.APIKey, slog.String("BaseURL", o.BaseURL), slog.Duration("Timeout", o.Timeout),
		slog.Int("MaxRetries", o.MaxRetries))
}

// NewSesame makes a client for the owner of the API key. It starts nothing and sends nothing. Close it when it is not
// needed any more.
//
// It fails with [ErrAuthentication] when there is no key, and with [ErrInvalidArgument].
func NewSesame(options SesameOptions) (*Sesame, error) {
	if err := checkABI(); err != nil {
		return nil, err
	}
	o := C.lime_sesame_options_new()
	defer C.lime_sesame_options_free(o)
	var set settings
	set.text("APIKey", options.APIKey, func(v *C.char) C.int32_t { return C.lime_sesame_options_set_api_key(o, v) })
	set.text("BaseURL", options.BaseURL, func(v *C.char) C.int32_t { return C.lime_sesame_options_set_base_url(o, v) })
	set.duration("Timeout", options.Timeout, false, func(v C.uint64_t) C.int32_t { return C.lime_sesame_options_set_timeout_ms(o, v) })
	set.count("MaxRetries", options.MaxRetries, true, func(v C.size_t) C.int32_t {
		return C.lime_sesame_options_set_max_retries(o, C.uint32_t(v))
	})
	set.duration("PollTimeout", options.PollTimeout, false, func(v C.uint64_t) C.int32_t {
		return C.lime_sesame_options_set_poll_timeout_ms(o, v)
	})
	set.each("TLSPins", options.TLSPins, func(v *C.char) C.int32_t { return C.lime_sesame_options_add_tls_pin(o, v) })
	set.log(options.Logger, func(sink C.uintptr_t) C.int32_t { return C.lime_go_sesame_options_set_log(o, sink) })
	set.clock(options.Clock, func(clock *C.lime_clock) C.int32_t { return C.lime_sesame_options_set_clock(o, clock) })
	carrier := set.transport(options.Transport, options.Logger, func(transport *C.lime_transport) C.int32_t {
		return C.lime_sesame_options_set_transport(o, transport)
	})
	if set.err != nil {
		return nil, set.err
	}
	var handle *C.lime_sesame
	var failure *C.lime_error
	if status := C.lime_sesame_new(o, &handle, &failure); status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	sesame := &Sesame{client: &client{
		carrier: carrier,
		ownTime: options.Clock != nil,
		handle:  unsafe.Pointer(handle),
		close:   func(sesame unsafe.Pointer) { C.lime_sesame_close((*C.lime_sesame)(sesame)) },
		free:    func(sesame unsafe.Pointer) { C.lime_sesame_free((*C.lime_sesame)(sesame)) },
	}}
	runtime.AddCleanup(sesame, func(c *client) { c.shut() }, sesame.client)
	return sesame, nil
}

// Close refuses further calls with [ErrClosed]. Calls that are under way go on, waits too: end them by their contexts.
// Closing twice does nothing. The error is always nil.
func (s *Sesame) Close() error {
	s.client.shut()
	return nil
}

// Trigger asks for an approval and does not wait for the decision: it is pending then, unless the request's DedupKey
// names one that is decided. A context that ends takes back nothing that was asked.
//
// It fails with [ErrOutcomeUnknown] when a request without a DedupKey was sent and its answer got lost (a human may have
// been asked); with [ErrAPI] when the broker does not take the request; with [ErrAuthentication], [ErrRateLimit], or
// another error of the broker or the network.
func (s *Sesame) Trigger(ctx context.Context, request ApprovalRequest) (*Approval, error) {
	defer runtime.KeepAlive(s)
	built, err := request.build()
	if err != nil {
		return nil, err
	}
	defer C.lime_approval_request_free(built)
	return perform[*Approval](ctx, s.client, limit{}, func(sesame unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_sesame_trigger((*C.lime_sesame)(sesame), built, call)
	})
}

// Get reads where an approval stands.
//
// It fails with [ErrNotFound] when the broker does not know the approval or it is no approval id; with
// [ErrAuthentication], [ErrRateLimit], or another error of the broker or the network.
func (s *Sesame) Get(ctx context.Context, approvalID string) (*Approval, error) {
	return s.get(ctx, approvalID, false)
}

// GetWhenDecided is [Sesame.Get], but lets the broker hold its answer until there is a decision, for 25 to 30 s at most.
// It asks once: the approval may be pending still. [Sesame.Wait] goes on until there is a decision.
func (s *Sesame) GetWhenDecided(ctx context.Context, approvalID string) (*Approval, error) {
	return s.get(ctx, approvalID, true)
}

func (s *Sesame) get(ctx context.Context, approvalID string, decided bool) (*Approval, error) {
	defer runtime.KeepAlive(s)
	id, err := text("approvalID", approvalID)
	if err != nil {
		return nil, err
	}
	return perform[*Approval](ctx, s.client, limit{}, func(sesame unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_sesame_get((*C.lime_sesame)(sesame), id, flag(decided), call)
	})
}

// Wait waits until an approval is decided, which includes that it expired: look at [Approval.Approved]. It rides out a
// broker that is away, restarts or answers with errors. Any number of waits may be under way at once; each takes a
// connection and a parked goroutine. When the context ends the approval stays as it is.
//
// It fails with [ErrTimeout] when there is no decision in time; at once with [ErrNotFound] when the broker does not know
// the approval or it is no approval id, and with [ErrAuthentication] when the broker refuses the key; or with another
// error of the broker that time does not mend.
func (s *Sesame) Wait(ctx context.Context, approvalID string, options WaitOptions) (*Approval, error) {
	defer runtime.KeepAlive(s)
	id, err := text("approvalID", approvalID)
	if err != nil {
		return nil, err
	}
	longest, interval, err := s.limitsOf(ctx, options)
	if err != nil {
		return nil, err
	}
	return perform[*Approval](ctx, s.client, longest, func(sesame unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_sesame_wait((*C.lime_sesame)(sesame), id, longest.millis, interval, call)
	})
}

// RequireApproval is the whole gate: it asks, waits, and succeeds only if a human granted it. Run the operation when
// the error is nil and in no other case, whatever the error is. The options' timeout is for asking and waiting together.
//
// An approval lets one call through: calls with the same DedupKey share one, and the second, or one with another summary
// or context, is denied. That is known to this process; the next one does not know it, so give each operation a key of
// its own.
//
// It fails with [ErrApprovalDenied] when it was denied or expired, or does not let this call through (the error's Code
// says which of them: "denied", "expired", "already_used", "args_changed"); with [ErrTimeout] when nobody decided in time
// (if the error has an ApprovalID, that is still pending, and [Sesame.Wait] can go on); else as [Sesame.Trigger] and
// [Sesame.Wait]. A context that ends takes back nothing that was asked.
func (s *Sesame) RequireApproval(ctx context.Context, request ApprovalRequest, options WaitOptions) (*Approval, error) {
	defer runtime.KeepAlive(s)
	longest, interval, err := s.limitsOf(ctx, options)
	if err != nil {
		return nil, err
	}
	built, err := request.build()
	if err != nil {
		return nil, err
	}
	defer C.lime_approval_request_free(built)
	return perform[*Approval](ctx, s.client, longest, func(sesame unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_sesame_require_approval((*C.lime_sesame)(sesame), built, longest.millis, interval, call)
	})
}

// defaultPollInterval is what the header recommends.
const defaultPollInterval = 2 * time.Second

func (s *Sesame) limitsOf(ctx context.Context, options WaitOptions) (limit, C.uint64_t, error) {
	if options.PollInterval < 0 {
		return limit{}, 0, invalid("PollInterval is negative")
	}
	interval := options.PollInterval
	if interval == 0 {
		interval = defaultPollInterval
	}
	longest, err := s.client.limitOf(ctx, options.Timeout)
	return longest, millis(interval), err
}
