package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

// A Passport is an agent's passport that was verified.
type Passport struct {
	// AgentID is the agent that signed in.
	AgentID string
	// OwnerID is the LIME user who owns it, where the platform tells: the claim "user_id" of today's passports, "owner_id"
	// of earlier ones.
	OwnerID string
	// RequestID is the login request that it signed in for.
	RequestID string
	// BindingID is the binding that a person has connected it by; empty in the passport of a login.
	BindingID string
	// Claims are all claims; "sub" is called "agent_id". Numbers are [json.Number], so that none is rounded.
	Claims map[string]any
	// ClaimsJSON are the same as a JSON object.
	ClaimsJSON json.RawMessage
}

// PassportCheck is what a passport has to be beside genuine and fresh.
type PassportCheck struct {
	// RequestID is the login request that the passport must be for. Whoever leaves it out has to say AnyRequest:
	// else another site's or another person's login would do.
	RequestID string
	// AnyRequest accepts a passport for whatever login request.
	AnyRequest bool
	// RequireIssuer refuses a passport without an "iss" claim; one that is there is checked always.
	RequireIssuer bool
}

// expected is the request id as the library wants it.
func (check PassportCheck) expected() (*C.char, error) {
	if check.RequestID == "" && !check.AnyRequest {
		return nil, invalid("PassportCheck names no RequestID; AnyRequest accepts a passport for any")
	}
	if check.RequestID != "" && check.AnyRequest {
		return nil, invalid("PassportCheck has a RequestID and AnyRequest")
	}
	return optional("RequestID", check.RequestID)
}

// PassportKeys is what [VerifyPassport] verifies with.
type PassportKeys struct {
	// JWKS is the platform's key document, bare or in an envelope.
	JWKS []byte
	// APIRoot is where the passport must come from, such as "https://lime.pics/api/v1".
	APIRoot string
	// Now is the time that counts as now; the zero time is the machine's clock.
	Now time.Time
}

// VerifyPassport verifies a passport with keys that are at hand, without a client and without a network. Sites use
// [Site.VerifyPassport], which has the platform's keys.
//
// It fails with [ErrInvalidPassport], [ErrPassportExpired] or [ErrInvalidArgument].
func VerifyPassport(jwt string, keys PassportKeys, check PassportCheck) (*Passport, error) {
	expected, err := check.expected()
	if err != nil {
		return nil, err
	}
	issuer := flag(check.RequireIssuer)
	return keys.verify(jwt, func(token, root *C.char, now C.double, passport **C.lime_passport, failure **C.lime_error) C.int32_t {
		document, length := span(keys.JWKS)
		return C.lime_passport_verify(token, document, length, root, expected, issuer, now, passport, failure)
	})
}

// verify makes what one function of the library wants, and reads what it gives.
func (keys PassportKeys) verify(
	jwt string,
	call func(token, root *C.char, now C.double, passport **C.lime_passport, failure **C.lime_error) C.int32_t,
) (*Passport, error) {
	token, err := text("jwt", jwt)
	if err != nil {
		return nil, err
	}
	root, err := text("APIRoot", keys.APIRoot)
	if err != nil {
		return nil, err
	}
	now := keys.Now
	if now.IsZero() {
		now = time.Now()
	}
	var passport *C.lime_passport
	var failure *C.lime_error
	status := within(func() C.int32_t { return call(token, root, unixSeconds(now), &passport, &failure) })
	if status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	return readPassport(passport)
}

// VerifyPassport verifies a passport with the platform's keys. When those are at hand, which they are but for the first
// time and after they have changed, it does so here and now; else it fetches them.
//
// It fails with [ErrInvalidPassport] or [ErrPassportExpired]; with an error of the platform or the network when
// the keys cannot be had; with [ErrInvalidArgument], also when check is the zero value; with [ErrClosed].
func (s *Site) VerifyPassport(ctx context.Context, jwt string, check PassportCheck) (*Passport, error) {
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
			return C.lime_site_verify_passport_cached(site, token, expected, issuer, passport, failure)
		},
		func(site unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
			return C.lime_go_site_verify_passport((*C.lime_site)(site), token, expected, issuer, call)
		})
}

// verifier verifies with the keys that are at hand, and gives no passport when they are not.
type verifier = func(site *C.lime_site, passport **C.lime_passport, failure **C.lime_error) C.int32_t

// verify does it with the keys that are at hand, else with those that are fetched.
func (s *Site) verify(
	ctx context.Context, atHand verifier, fetch func(site unsafe.Pointer, call C.uintptr_t) C.lime_go_started,
) (*Passport, error) {
	if ctx.Err() != nil {
		return nil, interrupted(ctx)
	}
	if passport, err := s.verifyWithKeysAtHand(atHand); passport != nil || err != nil {
		return passport, err
	}
	verified, err := perform[passportOrError](ctx, s.client, limit{}, fetch)
	if err != nil {
		return nil, err
	}
	return verified.passport, verified.err
}

// verifyWithKeysAtHand gives neither a passport nor an error when the keys are not.
func (s *Site) verifyWithKeysAtHand(verify verifier) (*Passport, error) {
	handle, err := s.client.use()
	if err != nil {
		return nil, err
	}
	defer s.client.unuse()
	var passport *C.lime_passport
	var failure *C.lime_error
	status := within(func() C.int32_t { return verify((*C.lime_site)(handle), &passport, &failure) })
	switch {
	case status != C.LIME_OK:
		return nil, failed(status, failure)
	case passport == nil:
		return nil, nil
	}
	return readPassport(passport)
}

type passportOrError struct {
	passport *Passport
	err      error
}

//export limeGoPassport
func limeGoPassport(call C.uintptr_t, status C.int32_t, passport *C.lime_passport, failure *C.lime_error) {
	complete(call, status, failure, func() passportOrError {
		read, err := readPassport(passport)
		return passportOrError{read, err}
	})
}

// readPassport copies a passport, and frees it.
func readPassport(passport *C.lime_passport) (*Passport, error) {
	defer C.lime_passport_free(passport)
	owner := C.GoString(C.lime_passport_owner_id(passport))
	document := C.GoString(C.lime_passport_claims_json(passport))
	claims, err := object(document)
	if err != nil {
		return nil, err
	}
	return &Passport{
		AgentID:    member(claims, "agent_id"),
		OwnerID:    owner,
		RequestID:  member(claims, "request_id"),
		BindingID:  member(claims, "binding_id"),
		Claims:     claims,
		ClaimsJSON: json.RawMessage(document),
	}, nil
}

// object reads a JSON object that the library wrote.
func object(document string) (map[string]any, error) {
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		return nil, &Error{Kind: KindInternal, Message: "The library's JSON cannot be read", causes: []error{err}}
	}
	return members, nil
}

// member is a member of an object that is a text, or "".
func member(members map[string]any, name string) string {
	value, _ := members[name].(string)
	return value
}
