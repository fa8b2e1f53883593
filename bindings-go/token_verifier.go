package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"time"
	"unsafe"
)

// A TokenVerifier verifies the access tokens that agents show to one MCP server. Make one for each host name and process;
// any number of goroutines may use it at once.
type TokenVerifier struct {
	client *client
	domain string
}

// TokenVerifierOptions say how to make a [TokenVerifier]. The zero value takes everything from the environment and the
// defaults.
type TokenVerifierOptions struct {
	// ExpectedDomain is the host name that the server is reached by; else the environment variable LIME_EXPECTED_DOMAIN
	// counts. Tokens for any other are refused, so there has to be one. A URL will do, a port will not.
	ExpectedDomain string
	// BaseURL is the platform's origin, without /api/v1; else the environment variable LIME_BASE_URL counts, then
	// https://lime.pics.
	BaseURL string
	// Audience is whom tokens must be for; else the environment variable LIME_OAUTH_AUDIENCE counts, then "mcp".
	Audience string
	// Leeway is how far clocks may be apart; else the environment variable LIME_JWT_VERIFY_LEEWAY_SECONDS counts, then
	// 120 s. A negative time is none; a day at most.
	Leeway time.Duration
	// JWKSCacheTTL is how long the platform's signing keys are used before they are fetched again; else the environment
	// variable LIME_JWKS_CACHE_TTL_SECONDS counts, then an hour. A negative time is none; a day at most.
	JWKSCacheTTL time.Duration
	// MinRefresh is the least time between two fetches of the keys that a token with an unknown key, or a warm-up, can
	// cause; else the environment variable LIME_JWKS_MIN_REFRESH_SECONDS counts, then 60 s. A negative time is none.
	MinRefresh time.Duration
	// UserAgent is what the library calls itself when it fetches keys; else the environment variable
	// LIME_VERIFY_USER_AGENT counts, then what the HTTP client calls itself.
	UserAgent string
	// Timeout bounds one attempt of a request, from connecting to the last byte. 0 is the default, 30 s.
	Timeout time.Duration
	// TLSPins are public keys that the platform's server may have, beside what is checked of every certificate: SHA-256 of
	// the certificate's RawSubjectPublicKeyInfo in base64, "sha256/" in front or not; else the environment variable
	// LIME_TLS_PINS counts, with commas between. Name the next key before it comes. Not with a Transport.
	TLSPins []string
	// Logger gets the library's log records, on a goroutine; nil is none. No token is in them.
	Logger *slog.Logger
	// Transport carries every request in the library's place; nil is the library's own client. The library keeps the
	// time and follows no redirect. It may be shared.
	Transport http.RoundTripper
	// Clock is where the time comes from, for tests; nil is the machine's.
	Clock *Clock
}

// A VerifiedToken is an access token that was verified.
type VerifiedToken struct {
	// AgentID is the agent that shows it.
	AgentID string
	// Domain is the host name that it is for.
	Domain string
	// Claims are all claims. Numbers are [json.Number], so that none is rounded.
	Claims map[string]any
	// ClaimsJSON are the same as a JSON object.
	ClaimsJSON json.RawMessage
}

// Why a token is refused: the Code of an error that is [ErrInvalidToken].
const (
	// TokenMissing: the request shows no token.
	TokenMissing = C.LIME_TOKEN_MISSING_TOKEN
	// TokenAmbiguous: the request shows several tokens.
	TokenAmbiguous = C.LIME_TOKEN_AMBIGUOUS_TOKEN
	// TokenMalformed: it is no RS256 JWT with a key's name, or its JSON is not to be trusted.
	TokenMalformed = C.LIME_TOKEN_MALFORMED
	// TokenUnknownKey: the platform has no usable key of this name.
	TokenUnknownKey = C.LIME_TOKEN_UNKNOWN_KEY
	// TokenBadSignature: the signature is not the platform's.
	TokenBadSignature = C.LIME_TOKEN_BAD_SIGNATURE
	// TokenInvalidClaim: a claim that must be there is not, or is of another type.
	TokenInvalidClaim = C.LIME_TOKEN_INVALID_CLAIM
	// TokenNotYetValid: its time has not come.
	TokenNotYetValid = C.LIME_TOKEN_NOT_YET_VALID
	// TokenExpired: its time has passed.
	TokenExpired = C.LIME_TOKEN_EXPIRED
	// TokenWrongIssuer: another platform has issued it.
	TokenWrongIssuer = C.LIME_TOKEN_WRONG_ISSUER
	// TokenWrongAudience: it is for something else.
	TokenWrongAudience = C.LIME_TOKEN_WRONG_AUDIENCE
	// TokenForbiddenClaim: it carries what passports carry, so it is another kind of token.
	TokenForbiddenClaim = C.LIME_TOKEN_FORBIDDEN_CLAIM
	// TokenMissingSubject: it does not say whose it is.
	TokenMissingSubject = C.LIME_TOKEN_MISSING_SUBJECT
	// TokenMissingDomain: it does not say which host it is for.
	TokenMissingDomain = C.LIME_TOKEN_MISSING_DOMAIN
	// TokenInvalidDomain: its host name is not in canonical form.
	TokenInvalidDomain = C.LIME_TOKEN_INVALID_DOMAIN
	// TokenWrongDomain: it is for another host.
	TokenWrongDomain = C.LIME_TOKEN_WRONG_DOMAIN
)

// NewTokenVerifier makes a verifier. It starts nothing and sends nothing: the first token fetches the platform's keys, or
// [TokenVerifier.WarmUp]. Close it when it is not needed any more.
//
// It fails with [ErrInvalidArgument], also when no host name is given or it is none.
func NewTokenVerifier(options TokenVerifierOptions) (*TokenVerifier, error) {
	if err := checkABI(); err != nil {
		return nil, err
	}
	o := C.lime_token_verifier_options_new()
	defer C.lime_token_verifier_options_free(o)
	var set settings
	set.text("ExpectedDomain", options.ExpectedDomain, func(v *C.char) C.int32_t {
		return C.lime_token_verifier_options_set_expected_domain(o, v)
	})
	set.text("BaseURL", options.BaseURL, func(v *C.char) C.int32_t { return C.lime_token_verifier_options_set_base_url(o, v) })
	set.text("Audience", options.Audience, func(v *C.char) C.int32_t { return C.lime_token_verifier_options_set_audience(o, v) })
	set.text("UserAgent", options.UserAgent, func(v *C.char) C.int32_t { return C.lime_token_verifier_options_set_user_agent(o, v) })
	set.duration("Leeway", options.Leeway, true, func(v C.uint64_t) C.int32_t {
		return C.lime_token_verifier_options_set_leeway_ms(o, v)
	})
	set.duration("JWKSCacheTTL", options.JWKSCacheTTL, true, func(v C.uint64_t) C.int32_t {
		return C.lime_token_verifier_options_set_jwks_cache_ttl_ms(o, v)
	})
	set.duration("MinRefresh", options.MinRefresh, true, func(v C.uint64_t) C.int32_t {
		return C.lime_token_verifier_options_set_min_refresh_ms(o, v)
	})
	set.duration("Timeout", options.Timeout, false, func(v C.uint64_t) C.int32_t {
		return C.lime_token_verifier_options_set_timeout_ms(o, v)
	})
	set.each("TLSPins", options.TLSPins, func(v *C.char) C.int32_t { return C.lime_token_verifier_options_add_tls_pin(o, v) })
	set.log(options.Logger, func(sink C.uintptr_t) C.int32_t { return C.lime_go_token_verifier_options_set_log(o, sink) })
	set.clock(options.Clock, func(clock *C.lime_clock) C.int32_t { return C.lime_token_verifier_options_set_clock(o, clock) })
	carrier := set.transport(options.Transport, options.Logger, func(transport *C.lime_transport) C.int32_t {
		return C.lime_token_verifier_options_set_transport(o, transport)
	})
	if set.err != nil {
		return nil, set.err
	}
	var handle *C.lime_token_verifier
	var failure *C.lime_error
	if status := C.lime_token_verifier_new(o, &handle, &failure); status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	verifier := &TokenVerifier{
		domain: C.GoString(C.lime_token_verifier_expected_domain(handle)),
		client: &client{
			carrier: carrier,
			ownTime: options.Clock != nil,
			handle:  unsafe.Pointer(handle),
			close:   func(v unsafe.Pointer) { C.lime_token_verifier_close((*C.lime_token_verifier)(v)) },
			free:    func(v unsafe.Pointer) { C.lime_token_verifier_free((*C.lime_token_verifier)(v)) },
		},
	}
	runtime.AddCleanup(verifier, func(c *client) { c.shut() }, verifier.client)
	return verifier, nil
}

// Close refuses further calls with [ErrClosed]. Calls that are under way go on. Closing twice does nothing. The error is
// always nil.
func (v *TokenVerifier) Close() error {
	v.client.shut()
	return nil
}

// ExpectedDomain is the host name that tokens must be for, in canonical form.
func (v *TokenVerifier) ExpectedDomain() string { return v.domain }

// Verify verifies a token, which is the JWT alone, without "Bearer". When the platform's keys are at hand, which they are
// but for the first time and after they have changed, it does so here and now; else it fetches them.
//
// It fails with [ErrInvalidToken], whose Code says why; with an error of the platform or the network when the keys cannot be
// had, which says nothing of the token; with [ErrClosed].
func (v *TokenVerifier) Verify(ctx context.Context, token string) (*VerifiedToken, error) {
	defer runtime.KeepAlive(v)
	jwt, err := text("token", token)
	if err != nil {
		// What has a NUL in it is no token, whatever this package thinks of NULs.
		return nil, &Error{Kind: KindInvalidToken, Code: TokenMalformed, Message: "The token contains a NUL"}
	}
	if ctx.Err() != nil {
		return nil, interrupted(ctx)
	}
	if verified, err := v.verifyWithKeysAtHand(jwt); verified != nil || err != nil {
		return verified, err
	}
	found, err := perform[tokenOrError](ctx, v.client, limit{}, func(handle unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_token_verifier_verify((*C.lime_token_verifier)(handle), jwt, call)
	})
	if err != nil {
		return nil, err
	}
	return found.token, found.err
}

// verifyWithKeysAtHand gives neither a token nor an error when the keys are not.
func (v *TokenVerifier) verifyWithKeysAtHand(jwt *C.char) (*VerifiedToken, error) {
	handle, err := v.client.use()
	if err != nil {
		return nil, err
	}
	defer v.client.unuse()
	var token *C.lime_verified_token
	var failure *C.lime_error
	status := within(func() C.int32_t {
		return C.lime_token_verifier_verify_cached((*C.lime_token_verifier)(handle), jwt, &token, &failure)
	})
	switch {
	case status != C.LIME_OK:
		return nil, failed(status, failure)
	case token == nil:
		return nil, nil
	}
	return readToken(token)
}

// WarmUp fetches the platform's keys ahead of the first token, unless that was done less than MinRefresh ago.
//
// It fails with an error of the platform or the network; keys that are held stay.
func (v *TokenVerifier) WarmUp(ctx context.Context) error {
	defer runtime.KeepAlive(v)
	_, err := perform[struct{}](ctx, v.client, limit{}, func(handle unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_token_verifier_warm_up((*C.lime_token_verifier)(handle), call)
	})
	return err
}

// ForgetKeys forgets the platform's keys; the next token fetches them.
func (v *TokenVerifier) ForgetKeys() {
	if handle, err := v.client.use(); err == nil {
		defer v.client.unuse()
		C.lime_token_verifier_forget_keys((*C.lime_token_verifier)(handle))
	}
}

// Fetches is how many fetches have brought keys; 0 when the verifier is closed.
func (v *TokenVerifier) Fetches() uint64 {
	handle, err := v.client.use()
	if err != nil {
		return 0
	}
	defer v.client.unuse()
	return uint64(C.lime_token_verifier_fetches((*C.lime_token_verifier)(handle)))
}

type tokenOrError struct {
	token *VerifiedToken
	err   error
}

//export limeGoVerifiedToken
func limeGoVerifiedToken(call C.uintptr_t, status C.int32_t, token *C.lime_verified_token, failure *C.lime_error) {
	complete(call, status, failure, func() tokenOrError {
		read, err := readToken(token)
		return tokenOrError{read, err}
	})
}

//export limeGoWarmUp
func limeGoWarmUp(call C.uintptr_t, status C.int32_t, failure *C.lime_error) {
	complete(call, status, failure, func() struct{} { return struct{}{} })
}

// readToken copies a token, and frees it.
func readToken(token *C.lime_verified_token) (*VerifiedToken, error) {
	defer C.lime_verified_token_free(token)
	document := C.GoString(C.lime_verified_token_claims_json(token))
	claims, err := object(document)
	if err != nil {
		return nil, err
	}
	return &VerifiedToken{
		AgentID:    member(claims, "sub"),
		Domain:     member(claims, "domain"),
		Claims:     claims,
		ClaimsJSON: json.RawMessage(document),
	}, nil
}

// TokenKeys is what [VerifyAccessToken] verifies with.
type TokenKeys struct {
	// JWKS is the platform's key document, bare or in an envelope.
	JWKS []byte
	// Issuer is what "iss" must be, letter by letter, such as "https://lime.pics".
	Issuer string
	// Now is the time that counts as now; the zero time is the machine's clock.
	Now time.Time
}

// TokenCheck is what an access token has to be beside genuine.
type TokenCheck struct {
	// ExpectedDomain is the host name that it must be for, in canonical form, see [NormalizeMCPDomain].
	ExpectedDomain string
	// Audience is whom it must be for; empty is "mcp".
	Audience string
	// Leeway is how far clocks may be apart; 0 is 120 s, a negative time is none.
	Leeway time.Duration
}

// VerifyAccessToken verifies an access token with keys that are at hand, without a verifier and without a network. Servers
// use a [TokenVerifier], which has the platform's keys.
//
// It fails with [ErrInvalidToken], with [ErrInvalidPassport] when JWKS is no key document, or with [ErrInvalidArgument].
func VerifyAccessToken(token string, keys TokenKeys, check TokenCheck) (*VerifiedToken, error) {
	var texts [4]*C.char
	for at, each := range []struct{ name, value string }{
		{"token", token}, {"Issuer", keys.Issuer}, {"ExpectedDomain", check.ExpectedDomain}, {"Audience", check.Audience},
	} {
		read := text
		if each.name == "Audience" {
			read = optional
		}
		pointer, err := read(each.name, each.value)
		if err != nil {
			return nil, err
		}
		texts[at] = pointer
	}
	now, leeway := keys.Now, check.Leeway
	if now.IsZero() {
		now = time.Now()
	}
	if leeway == 0 {
		leeway = 120 * time.Second
	}
	var verified *C.lime_verified_token
	var failure *C.lime_error
	document, length := span(keys.JWKS)
	status := within(func() C.int32_t {
		return C.lime_access_token_verify(texts[0], document, length, texts[1], texts[2], texts[3], millis(leeway),
			unixSeconds(now), &verified, &failure)
	})
	if status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	return readToken(verified)
}

// NormalizeMCPDomain gives the canonical form of a host name, as tokens have it: in lower case, without scheme and path.
//
// It fails with [ErrInvalidArgument] for user names, ports, addresses, reserved names and whatever else is no DNS name.
func NormalizeMCPDomain(domain string) (string, error) {
	raw, err := text("domain", domain)
	if err != nil {
		return "", err
	}
	var canonical *C.char
	var failure *C.lime_error
	if status := C.lime_mcp_domain_normalize(raw, &canonical, &failure); status != C.LIME_OK {
		return "", failed(status, failure)
	}
	defer C.lime_string_free(canonical)
	return C.GoString(canonical), nil
}

// MiddlewareOptions say what [TokenVerifier.Middleware] does beside verifying.
type MiddlewareOptions struct {
	// ResourceMetadata is the URL of the server's own metadata (RFC 9728), which the answer to a request without a token
	// names, so that MCP clients learn whom to ask for one; empty is none.
	ResourceMetadata string
	// Exclude are paths that need no token, such as "/health": exactly these.
	Exclude []string
}

// Middleware lets a request through only with an access token for this server. The handler finds the verified token by
// [TokenFromContext]. Others are answered with 401, or 503 while the platform's keys cannot be had.
func (v *TokenVerifier) Middleware(next http.Handler, options MiddlewareOptions) http.Handler {
	excluded := make(map[string]bool, len(options.Exclude))
	for _, path := range options.Exclude {
		excluded[path] = true
	}
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if excluded[request.URL.Path] {
			next.ServeHTTP(writer, request)
			return
		}
		token, err := BearerToken(request.Header)
		var verified *VerifiedToken
		if err == nil {
			verified, err = v.Verify(request.Context(), token)
		}
		if err != nil {
			refuse(writer, err, options.ResourceMetadata)
			return
		}
		next.ServeHTTP(writer, request.WithContext(context.WithValue(request.Context(), tokenKey{}, verified)))
	})
}

type tokenKey struct{}

// TokenFromContext is the token that [TokenVerifier.Middleware] has let in; nil when there was none to show.
func TokenFromContext(ctx context.Context) *VerifiedToken {
	token, _ := ctx.Value(tokenKey{}).(*VerifiedToken)
	return token
}

// BearerToken is the token in a request's Authorization headers, of which there should be one.
//
// It fails with [ErrInvalidToken] and the Code [TokenMissing] or [TokenAmbiguous].
func BearerToken(header http.Header) (string, error) {
	values := header.Values("Authorization")
	var packed []byte
	for _, value := range values {
		pointerless, err := text("Authorization", value)
		if err != nil || pointerless == nil {
			value = "" // no token has a NUL in it
		}
		packed = append(append(packed, value...), 0)
	}
	document, _ := span(packed)
	var token *C.char
	var failure *C.lime_error
	status := C.lime_go_bearer_token((*C.char)(document), C.size_t(len(values)), &token, &failure)
	if status != C.LIME_OK {
		return "", failed(status, failure)
	}
	defer C.lime_string_free(token)
	return C.GoString(token), nil
}

// refuse answers a request that is not let in.
func refuse(writer http.ResponseWriter, failure error, resourceMetadata string) {
	e := &Error{Kind: KindInternal, Message: "The request was not let in"}
	errors.As(failure, &e)
	code, _ := optional("Code", e.Code)
	message, err := text("Message", e.Message)
	metadata, problem := optional("ResourceMetadata", resourceMetadata)
	var refusal *C.lime_token_refusal
	if errors.Join(err, problem) != nil || C.lime_token_refusal_new(C.int32_t(e.Kind), code, message,
		C.int64_t(e.RetryAfter.Milliseconds()), metadata, &refusal, nil) != C.LIME_OK {
		http.Error(writer, "access tokens cannot be verified", http.StatusInternalServerError)
		return
	}
	defer C.lime_token_refusal_free(refusal)
	header := writer.Header()
	header.Set("Content-Type", "application/json")
	if challenge := C.lime_token_refusal_www_authenticate(refusal); challenge != nil {
		header.Set("WWW-Authenticate", C.GoString(challenge))
	}
	if seconds := C.lime_token_refusal_retry_after_seconds(refusal); seconds >= 0 {
		header.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	writer.WriteHeader(int(C.lime_token_refusal_http_status(refusal)))
	// A client that is gone does not want the body.
	_, _ = io.WriteString(writer, C.GoString(C.lime_token_refusal_body_json(refusal)))
}
