package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
	"time"
	"unsafe"
)

// A BindingRequest is a binding that was just asked for.
type BindingRequest struct {
	// BindingID is to be kept beside the person's session before their browser is sent on.
	BindingID string
	// ConnectURL is where the browser is to be sent, as it is.
	ConnectURL string
	// Status is "PENDING".
	Status string
	// ExpiresAt is when the binding expires, unless the person has picked an agent.
	ExpiresAt time.Time
}

// CreateBindingRequest asks for a binding: a person is to connect one of their agents with their account at this site.
// Keep its BindingID beside the person's session, then send their browser to its ConnectURL. They come back to
// redirectURI, an absolute https URL of the site, with "binding_code" in its query.
//
//	request, err := site.CreateBindingRequest(ctx, "https://shop.example/bind")
//	session.BindingID = request.BindingID
//	http.Redirect(w, r, request.ConnectURL, http.StatusSeeOther)
//
//	// the page at https://shop.example/bind
//	jwt, err := site.ExchangeBindingCode(ctx, r.URL.Query().Get("binding_code"))
//	passport, err := site.VerifyBindingPassport(ctx, jwt, lime.BindingCheck{BindingID: session.BindingID})
//
// It fails with [ErrAPI] and the code "VALIDATION_ERROR" when the platform does not take redirectURI, or as
// [Site.CreateLoginRequest].
func (s *Site) CreateBindingRequest(ctx context.Context, redirectURI string) (*BindingRequest, error) {
	defer runtime.KeepAlive(s)
	uri, err := text("redirectURI", redirectURI)
	if err != nil {
		return nil, err
	}
	return perform[*BindingRequest](ctx, s.client, limit{}, func(site unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_site_create_binding_request((*C.lime_site)(site), uri, call)
	})
}

//export limeGoBindingRequest
func limeGoBindingRequest(call C.uintptr_t, status C.int32_t, request *C.lime_binding_request, failure *C.lime_error) {
	complete(call, status, failure, func() *BindingRequest {
		defer C.lime_binding_request_free(request)
		return &BindingRequest{
			BindingID:  C.GoString(C.lime_binding_request_binding_id(request)),
			ConnectURL: C.GoString(C.lime_binding_request_connect_url(request)),
			Status:     C.GoString(C.lime_binding_request_status_text(request)),
			ExpiresAt: at(C.lime_binding_request_expires_at_unix_micros(request),
				C.lime_binding_request_expires_at_offset_seconds(request)),
		}
	})
}

// ExchangeBindingCode exchanges the code that a person came back with for the binding passport, which is not verified
// yet: give it to [Site.VerifyBindingPassport]. A code can be exchanged once.
//
// It fails with [ErrAPI] for a code that is unknown, used or expired; with [ErrOutcomeUnknown] when the code was sent
// and the answer got lost (it may be used up: let the person start again); or as [Site.CreateLoginRequest].
func (s *Site) ExchangeBindingCode(ctx context.Context, code string) (string, error) {
	defer runtime.KeepAlive(s)
	given, err := text("code", code)
	if err != nil {
		return "", err
	}
	return perform[string](ctx, s.client, limit{}, func(site unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_site_exchange_binding_code((*C.lime_site)(site), given, call)
	})
}

//export limeGoBindingExchange
func limeGoBindingExchange(call C.uintptr_t, status C.int32_t, exchange *C.lime_binding_exchange, failure *C.lime_error) {
	complete(call, status, failure, func() string {
		defer C.lime_binding_exchange_free(exchange)
		return C.GoString(C.lime_binding_exchange_passport(exchange))
	})
}

// BindingCheck is what a binding passport has to be beside genuine and fresh.
type BindingCheck struct {
	// BindingID is the binding that the passport must be for: the one that was kept beside the session of the person who
	// came back. Whoever leaves it out has to say AnyBinding: else a person could be sent back with a stranger's code.
	BindingID string
	// AnyBinding accepts a passport for whatever binding; compare [Passport.BindingID] yourself then.
	AnyBinding bool
	// RequireIssuer refuses a passport without an "iss" claim; one that is there is checked always.
	RequireIssuer bool
}

// expected is the binding id as the library wants it.
func (check BindingCheck) expected() (*C.char, error) {
	if check.BindingID == "" && !check.AnyBinding {
		return nil, invalid("BindingCheck names no BindingID; AnyBinding accepts a passport for any")
	}
	if check.BindingID != "" && check.AnyBinding {
		return nil, invalid("BindingCheck has a BindingID and AnyBinding")
	}
	return optional("BindingID", check.BindingID)
}

// VerifyBindingPassport verifies a binding passport with keys that are at hand, without a client and without a network.
// Sites use [Site.VerifyBindingPassport], which has the platform's keys.
//
// It fails with [ErrInvalidPassport], [ErrPassportExpired] or [ErrInvalidArgument].
func VerifyBindingPassport(jwt string, keys PassportKeys, check BindingCheck) (*Passport, error) {
	expected, err := check.expected()
	if err != nil {
		return nil, err
	}
	issuer := flag(check.RequireIssuer)
	return keys.verify(jwt, func(token, root *C.char, now C.double, passport **C.lime_passport, failure **C.lime_error) C.int32_t {
		document, length := span(keys.JWKS)
		return C.lime_passport_verify_binding(token, document, length, root, expected, issuer, now, passport, failure)
	})
}

// VerifyBindingPassport verifies a binding passport with the platform's keys. When those are at hand, it does so here and
// now; else it fetches them. Its BindingID and AgentID say which agent is the person's.
//
// It fails as [Site.VerifyPassport].
func (s *Site) VerifyBindingPassport(ctx context.Context, jwt string, check BindingCheck) (*Passport, error) {
	defer runtime.KeepAlive(s)
	token, err := text("jwt", jwt)
	if err != nil {
		return nil, err
	}
	expected, err := check.expected()
	if err != nil {
		return nil, err
	}
	issuer := flag(check.RequireIssuer)
	return s.verify(ctx,
		func(site *C.lime_site, passport **C.lime_passport, failure **C.lime_error) C.int32_t {
			return C.lime_site_verify_binding_passport_cached(site, token, expected, issuer, passport, failure)
		},
		func(site unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
			return C.lime_go_site_verify_binding_passport((*C.lime_site)(site), token, expected, issuer, call)
		})
}
