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

// A Site is the client of a site's backend. Make one for each site token and process; any number of goroutines
// may use it at once.
type Site struct {
	client *client
	logins *logins
	states *states
}

// SiteOptions say how to make a [Site]. The zero value takes everything from the environment and the defaults.
type SiteOptions struct {
	// SiteToken is the site's secret, "st_..."; else the environment variable LIME_SITE_TOKEN counts.
	SiteToken string
	// BaseURL is the API root, with "/api/v1"; else the environment variable LIME_API_BASE counts, then
	// https://lime.pics/api/v1.
	BaseURL string
	// Timeout bounds one attempt of a request, from connecting to the last byte. 0 is the default, 30 s.
	Timeout time.Duration
	// MaxRetries is how many further attempts follow a failed one. 0 is the default, 3; a negative number is none.
	MaxRetries int
	// ReconnectBackoff is the first wait before the event stream reconnects; it doubles up to 8 s. 0 is the default, 500 ms.
	ReconnectBackoff time.Duration
	// EventQueueLimit is how many events may wait for handlers before the stream is not read any further; nothing is
	// dropped, the platform is held back. 0 is the default, 1024.
	EventQueueLimit int
	// JWKSCacheTTL is how long the platform's signing keys are used before they are fetched again, a day at most.
	// 0 leaves it to the environment variable LIME_JWKS_CACHE_TTL_SECONDS, then 300 s; a negative one keeps none.
	JWKSCacheTTL time.Duration
	// Platform is what differs between the platform's times, all at once. The zero value is [PlatformAuto], which works
	// with all of them; the next three change it.
	Platform Platform
	// RequireIssuer refuses every passport without an "iss" claim; one that is there is checked always. [PlatformToday]
	// does so by itself.
	RequireIssuer bool
	// PostRetry says which failed POSTs are sent again. 0 leaves it to Platform.
	PostRetry PostRetry
	// JWKSForm says which key documents are taken. 0 leaves it to Platform.
	JWKSForm JWKSForm
	// TLSPins are public keys that the platform's server may have, beside what is checked of every certificate: SHA-256 of
	// the certificate's RawSubjectPublicKeyInfo in base64, "sha256/" in front or not; else the environment variable
	// LIME_TLS_PINS counts, with commas between. Name the next key before it comes. Not with a Transport.
	TLSPins []string
	// Logger gets the library's log records, on a goroutine; nil is none. No token and no passport is in them.
	Logger *slog.Logger
	// Transport carries every request in the library's place, the event stream too; nil is the library's own client.
	// The library keeps the time and follows no redirect. It may be shared.
	Transport http.RoundTripper
	// Clock is where time and chance come from, for tests; nil is the machine's.
	Clock *Clock
}

// PostRetry says which failed POSTs are sent again.
type PostRetry int32

// Platform is what differs between the platform's times, all at once: the digest of the proof of work, whether passports
// have to name their issuer, which failed POSTs are sent again, and the form of the key document.
type Platform int32

const (
	// PlatformAuto works with all of them.
	PlatformAuto Platform = C.LIME_PLATFORM_AUTO
	// PlatformSeed is the platform as lime-sites-sdk 1.0.1 and lime-agents-sdk 0.2.0 know it.
	PlatformSeed Platform = C.LIME_PLATFORM_SEED
	// PlatformToday is the platform as lime-sites-sdk 2.0.6 and lime-agents-sdk 3.0.2 know it.
	PlatformToday Platform = C.LIME_PLATFORM_TODAY
)

// JWKSForm says which key documents are taken.
type JWKSForm int32

const (
	// JWKSFormEnvelope takes {"ok": true, "data": {"keys": [...]}}, as the seed's platform serves it.
	JWKSFormEnvelope JWKSForm = C.LIME_JWKS_FORM_ENVELOPE
	// JWKSFormBare takes {"keys": [...]}, as today's does.
	JWKSFormBare JWKSForm = C.LIME_JWKS_FORM_BARE
)

const (
	// PostRetrySeed sends those again that are answered by 408, 429, 500, 502, 503 or 504.
	PostRetrySeed PostRetry = C.LIME_POST_RETRY_SEED
	// PostRetryToday sends those again that are answered by 408, 429 or 503.
	PostRetryToday PostRetry = C.LIME_POST_RETRY_TODAY
)

// Format shows the options without the token.
func (o SiteOptions) Format(state fmt.State, verb rune) { format(state, verb, o.LogValue()) }

// LogValue shows the options without the token.
func (o SiteOptions) LogValue() slog.Value {
	return shown("SiteToken", o.SiteToken, slog.String("BaseURL", o.BaseURL), slog.Duration("Timeout", o.Timeout),
		slog.Int("MaxRetries", o.MaxRetries))
}

// NewSite makes a client for the site that the token belongs to. It starts nothing and sends nothing. Close it
// when it is not needed any more.
//
// It fails with [ErrAuthentication] when there is no token, and with [ErrInvalidArgument].
func NewSite(options SiteOptions) (*Site, error) {
	if err := checkABI(); err != nil {
		return nil, err
	}
	o := C.lime_site_options_new()
	defer C.lime_site_options_free(o)
	var set settings
	set.text("SiteToken", options.SiteToken, func(v *C.char) C.int32_t { return C.lime_site_options_set_site_token(o, v) })
	set.text("BaseURL", options.BaseURL, func(v *C.char) C.int32_t { return C.lime_site_options_set_base_url(o, v) })
	set.duration("Timeout", options.Timeout, false, func(v C.uint64_t) C.int32_t { return C.lime_site_options_set_timeout_ms(o, v) })
	set.count("MaxRetries", options.MaxRetries, true, func(v C.size_t) C.int32_t {
		return C.lime_site_options_set_max_retries(o, C.uint32_t(v))
	})
	set.duration("ReconnectBackoff", options.ReconnectBackoff, false, func(v C.uint64_t) C.int32_t {
		return C.lime_site_options_set_sse_backoff_base_ms(o, v)
	})
	set.count("EventQueueLimit", options.EventQueueLimit, false, func(v C.size_t) C.int32_t {
		return C.lime_site_options_set_event_queue_limit(o, v)
	})
	set.duration("JWKSCacheTTL", options.JWKSCacheTTL, true, func(v C.uint64_t) C.int32_t {
		return C.lime_site_options_set_jwks_cache_ttl_ms(o, v)
	})
	// What comes after it changes it.
	set.number("Platform", int32(options.Platform), func(v C.int32_t) C.int32_t { return C.lime_site_options_set_platform(o, v) })
	set.number("JWKSForm", int32(options.JWKSForm), func(v C.int32_t) C.int32_t { return C.lime_site_options_set_jwks_form(o, v) })
	set.raise(options.RequireIssuer, func(v C.int32_t) C.int32_t { return C.lime_site_options_set_require_issuer(o, v) })
	set.number("PostRetry", int32(options.PostRetry), func(v C.int32_t) C.int32_t { return C.lime_site_options_set_post_retry(o, v) })
	set.each("TLSPins", options.TLSPins, func(v *C.char) C.int32_t { return C.lime_site_options_add_tls_pin(o, v) })
	set.log(options.Logger, func(sink C.uintptr_t) C.int32_t { return C.lime_go_site_options_set_log(o, sink) })
	set.clock(options.Clock, func(clock *C.lime_clock) C.int32_t { return C.lime_site_options_set_clock(o, clock) })
	carrier := set.transport(options.Transport, options.Logger, func(transport *C.lime_transport) C.int32_t {
		return C.lime_site_options_set_transport(o, transport)
	})
	if set.err != nil {
		return nil, set.err
	}
	var handle *C.lime_site
	var failure *C.lime_error
	if status := C.lime_site_new(o, &handle, &failure); status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	site := &Site{
		client: &client{
			carrier: carrier,
			ownTime: options.Clock != nil,
			handle:  unsafe.Pointer(handle),
			close:   func(site unsafe.Pointer) { C.lime_site_close((*C.lime_site)(site)) },
			free:    func(site unsafe.Pointer) { C.lime_site_free((*C.lime_site)(site)) },
		},
		logins: &logins{logger: options.Logger},
		states: &states{logger: options.Logger},
	}
	// A Site that has handlers is held by them, and never forgotten.
	runtime.AddCleanup(site, func(c *client) { c.shut() }, site.client)
	return site, nil
}

// Close ends the event stream and refuses further calls with [ErrClosed]. Calls that are under way go on: end them
// by their contexts; only WaitForLogin ends, with ErrClosed. No handler begins any more, but one may be running:
// Close does not wait for it, so that it may be called in a handler. Closing twice does nothing. The error is
// always nil.
func (s *Site) Close() error {
	s.states.keep(s)
	s.client.shut()
	s.logins.close()
	s.states.close()
	return nil
}

// A LoginRequest is a login request that was just created.
type LoginRequest struct {
	// RequestID is to be handed to the agent.
	RequestID string
	// Status is "PENDING".
	Status string
	// ExpiresAt is when the request expires, with the offset that the platform wrote.
	ExpiresAt time.Time
}

// CreateLoginRequest creates a login request, to be handed to the agent by its request id.
//
// It fails with [ErrAuthentication] when the platform refuses the token, with [ErrRateLimit], or with another error
// of the platform or the network.
func (s *Site) CreateLoginRequest(ctx context.Context) (*LoginRequest, error) {
	defer runtime.KeepAlive(s)
	return perform[*LoginRequest](ctx, s.client, limit{}, func(site unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_site_create_login_request((*C.lime_site)(site), call)
	})
}

//export limeGoLoginRequest
func limeGoLoginRequest(call C.uintptr_t, status C.int32_t, request *C.lime_login_request, failure *C.lime_error) {
	complete(call, status, failure, func() *LoginRequest {
		defer C.lime_login_request_free(request)
		return &LoginRequest{
			RequestID: C.GoString(C.lime_login_request_request_id(request)),
			Status:    C.GoString(C.lime_login_request_status_text(request)),
			ExpiresAt: at(C.lime_login_request_expires_at_unix_micros(request), C.lime_login_request_expires_at_offset_seconds(request)),
		}
	})
}

// A LoginRequestStatus is where a login request stands.
type LoginRequestStatus struct {
	// RequestID is the login request.
	RequestID string
	// Status is "PENDING", "APPROVED", "DELIVERED" or "EXPIRED".
	Status string
	// ExpiresAt is when the request expires; the zero time when the platform does not say.
	ExpiresAt time.Time
}

// ReadLoginRequest reads where a login request of this site stands.
//
// It fails with [ErrAPI] when the platform does not know it or it is no request id, or as [Site.CreateLoginRequest].
func (s *Site) ReadLoginRequest(ctx context.Context, requestID string) (*LoginRequestStatus, error) {
	defer runtime.KeepAlive(s)
	id, err := text("requestID", requestID)
	if err != nil {
		return nil, err
	}
	return perform[*LoginRequestStatus](ctx, s.client, limit{}, func(site unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_site_read_login_request((*C.lime_site)(site), id, call)
	})
}

//export limeGoLoginRequestStatus
func limeGoLoginRequestStatus(call C.uintptr_t, status C.int32_t, found *C.lime_login_request_status, failure *C.lime_error) {
	complete(call, status, failure, func() *LoginRequestStatus {
		defer C.lime_login_request_status_free(found)
		return &LoginRequestStatus{
			RequestID: C.GoString(C.lime_login_request_status_request_id(found)),
			Status:    C.GoString(C.lime_login_request_status_status_text(found)),
			ExpiresAt: at(C.lime_login_request_status_expires_at_unix_micros(found),
				C.lime_login_request_status_expires_at_offset_seconds(found)),
		}
	})
}

// WaitOptions say how to wait for something that people or agents do.
type WaitOptions struct {
	// Timeout is the longest wait; when it is over the call fails with [ErrTimeout]. 0 waits until the context ends.
	Timeout time.Duration
	// PollInterval is the least time from the beginning of one poll of an approval to the beginning of the next. 0 is
	// the default, 2 s. The broker holds a poll until there is a decision, so this only counts when it does not.
	// WaitForLogin has no use for it.
	PollInterval time.Duration
}

// WaitForLogin waits until a login request ends, and starts the event stream if it is not running. An event that came
// before the wait began, two minutes at most, counts. Any number of waits share the one stream.
//
// It fails with [ErrTimeout] when nothing happened in time; at once with [ErrAuthentication] when the platform refuses
// the token and with [ErrAPI] for a text that is no request id; with [ErrOutcomeUnknown] when the request has ended and
// the event that told how is lost, with its passport; with [ErrClosed] when the site is closed meanwhile.
func (s *Site) WaitForLogin(ctx context.Context, requestID string, options WaitOptions) (LoginEvent, error) {
	defer runtime.KeepAlive(s)
	id, err := text("requestID", requestID)
	if err != nil {
		return LoginEvent{}, err
	}
	longest, err := s.client.limitOf(ctx, options.Timeout)
	if err != nil {
		return LoginEvent{}, err
	}
	return perform[LoginEvent](ctx, s.client, longest, func(site unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_site_wait_for_login((*C.lime_site)(site), id, longest.millis, call)
	})
}

//export limeGoLoginEnd
func limeGoLoginEnd(call C.uintptr_t, status C.int32_t, event *C.lime_login_event, failure *C.lime_error) {
	complete(call, status, failure, func() LoginEvent {
		defer C.lime_login_event_free(event)
		return readLoginEvent(event)
	})
}
