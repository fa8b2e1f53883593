package lime

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

const redirectURI = "https://shop.example/bind?step=2"

// completed is a binding, and the code that its person came back with.
func completed(t *testing.T, sandbox *sandbox, site *Site) (*BindingRequest, string) {
	t.Helper()
	request, err := site.CreateBindingRequest(watched(t), redirectURI)
	ok(t, err)
	back := sandbox.post(t, "/bindings/"+request.BindingID+"/complete", values{})["redirect_url"].(string)
	equal(t, "whether the query is kept", strings.HasPrefix(back, redirectURI+"&binding_code="), true)
	parsed, err := url.Parse(back)
	ok(t, err)
	return request, parsed.Query().Get("binding_code")
}

func TestBinding(t *testing.T) {
	sandbox := startSandbox(t)
	site := makeSite(t, SiteOptions{SiteToken: sandbox.SiteToken, BaseURL: sandbox.APIBase})
	ctx := watched(t)
	request, code := completed(t, sandbox, site)
	equal(t, "status", request.Status, "PENDING")
	equal(t, "whether it is to come", request.ExpiresAt.After(time.Now()), true)
	equal(t, "whether the page is its own", strings.HasSuffix(request.ConnectURL, "/connect/?binding_id="+request.BindingID), true)
	jwt, err := site.ExchangeBindingCode(ctx, code)
	ok(t, err)
	// The second time the key is at hand.
	for _, check := range []BindingCheck{{BindingID: request.BindingID, RequireIssuer: true}, {AnyBinding: true}} {
		passport, err := site.VerifyBindingPassport(ctx, jwt, check)
		ok(t, err)
		equal(t, "binding", passport.BindingID, request.BindingID)
		equal(t, "agent", passport.AgentID, sandbox.get(t, "/info")["agent_id"].(string))
		equal(t, "owner", passport.OwnerID, passport.Claims["user_id"].(string))
		equal(t, "request", passport.RequestID, "")
	}
	_, err = site.VerifyBindingPassport(ctx, jwt, BindingCheck{BindingID: "br_other"})
	equal(t, "whether another's is refused", errors.Is(err, ErrInvalidPassport) && strings.Contains(err.Error(), "binding_id"), true)
	_, err = site.VerifyPassport(ctx, jwt, PassportCheck{AnyRequest: true})
	equal(t, "whether it is no login", errors.Is(err, ErrInvalidPassport) && strings.Contains(err.Error(), "audience"), true)
	_, err = site.ExchangeBindingCode(ctx, code)
	var e *Error
	equal(t, "whether the code counts once", errors.As(err, &e) && errors.Is(err, ErrAPI) && e.Code == "INVALID_BINDING_CODE", true)
}

func TestBindingThatCannotBe(t *testing.T) {
	sandbox := startSandbox(t)
	site := makeSite(t, SiteOptions{SiteToken: sandbox.SiteToken, BaseURL: sandbox.APIBase, MaxRetries: 1})
	ctx := watched(t)
	for _, uri := range []string{"", "http://shop.example/", "javascript:alert(1)"} {
		_, err := site.CreateBindingRequest(ctx, uri)
		var e *Error
		equal(t, uri, errors.As(err, &e) && e.Code == "VALIDATION_ERROR", true)
	}
	for _, check := range []BindingCheck{{}, {BindingID: "br_1", AnyBinding: true}, {BindingID: "a\x00b"}} {
		_, err := site.VerifyBindingPassport(ctx, "a.b.c", check)
		equal(t, "whether the check is refused", errors.Is(err, ErrInvalidArgument), true)
		_, err = VerifyBindingPassport("a.b.c", PassportKeys{APIRoot: "https://lime.pics"}, check)
		equal(t, "whether the check is refused", errors.Is(err, ErrInvalidArgument), true)
	}
	for _, text := range []string{"a\x00b", "\xff"} {
		_, err := site.CreateBindingRequest(ctx, text)
		equal(t, "whether the text is refused", errors.Is(err, ErrInvalidArgument), true)
		_, err = site.ExchangeBindingCode(ctx, text)
		equal(t, "whether the text is refused", errors.Is(err, ErrInvalidArgument), true)
		_, err = site.VerifyBindingPassport(ctx, text, BindingCheck{AnyBinding: true})
		equal(t, "whether the text is refused", errors.Is(err, ErrInvalidArgument), true)
	}
	_, code := completed(t, sandbox, site)
	sandbox.post(t, "/faults", values{"route": "exchange_binding", "action": "drop_after"})
	_, err := site.ExchangeBindingCode(ctx, code)
	equal(t, "whether it is open", errors.Is(err, ErrOutcomeUnknown), true)
	ended, end := context.WithCancel(ctx)
	end()
	_, err = site.CreateBindingRequest(ended, redirectURI)
	equal(t, "whether the context counts", errors.Is(err, context.Canceled), true)
	_, err = site.VerifyBindingPassport(ended, "a.b.c", BindingCheck{AnyBinding: true})
	equal(t, "whether the context counts", errors.Is(err, ErrCancelled), true)
	ok(t, site.Close())
	_, err = site.ExchangeBindingCode(ctx, "bc_1")
	equal(t, "whether it is closed", errors.Is(err, ErrClosed), true)
}

// TestAgentsAndTokensOfToday: their codes have kinds of their own, which are cases of those of before.
func TestAgentsAndTokensOfToday(t *testing.T) {
	sandbox := startSandbox(t)
	agent := makeAgent(t, AgentOptions{AgentToken: sandbox.AgentToken, BaseURL: sandbox.APIBase, MaxRetries: -1})
	site := makeSite(t, SiteOptions{SiteToken: sandbox.SiteToken, BaseURL: sandbox.APIBase, MaxRetries: -1})
	ctx := watched(t)
	id := sandbox.get(t, "/info")["agent_id"].(string)
	refused := func(kind, parent error) {
		t.Helper()
		_, err := agent.Profile(ctx)
		equal(t, kind.Error(), errors.Is(err, kind) && errors.Is(err, parent), true)
	}
	sandbox.post(t, "/agents/"+id+"/suspend-user", nil)
	refused(ErrAgentUserSuspended, ErrAuthentication)
	sandbox.post(t, "/agents/"+id+"/deactivate", nil)
	refused(ErrAgentInactive, ErrAuthentication)
	sandbox.control(t, "PATCH", "/settings", values{"auth_unavailable": true})
	refused(ErrAuthUnavailable, ErrAPI)
	_, err := site.CreateLoginRequest(ctx)
	equal(t, "whether it is both", errors.Is(err, ErrSiteAuthUnavailable) && errors.Is(err, ErrAPI), true)
}

// TestPlatforms: a site takes what the platform that it is for gives. Here is one with bare keys, and passports without
// an issuer.
func TestPlatforms(t *testing.T) {
	// Difficult enough that the solution of one digest is not by chance one of the other.
	sandbox := startSandbox(t, "--difficulty", "20", "--platform", "today")
	sandbox.control(t, "PATCH", "/settings", values{"issuer": false})
	options := SiteOptions{SiteToken: sandbox.SiteToken, BaseURL: sandbox.APIBase}
	site := makeSite(t, options)
	ctx := watched(t)
	_, code := completed(t, sandbox, site)
	jwt, err := site.ExchangeBindingCode(ctx, code)
	ok(t, err)
	for _, each := range []struct {
		platform Platform
		form     JWKSForm
		issuer   bool
		takes    bool
	}{
		{platform: PlatformAuto, takes: true},
		{platform: PlatformAuto, issuer: true},
		{platform: PlatformAuto, form: JWKSFormEnvelope},
		{platform: PlatformSeed},
		{platform: PlatformSeed, form: JWKSFormBare, takes: true},
		{platform: PlatformToday},
	} {
		options := options
		options.Platform, options.JWKSForm, options.RequireIssuer = each.platform, each.form, each.issuer
		_, err := makeSite(t, options).VerifyBindingPassport(ctx, jwt, BindingCheck{AnyBinding: true})
		equal(t, fmt.Sprintf("%+v", each), err == nil, each.takes)
	}
	request, err := site.CreateLoginRequest(ctx)
	ok(t, err)
	agent := AgentOptions{AgentToken: sandbox.AgentToken, BaseURL: sandbox.APIBase, Platform: PlatformSeed}
	_, err = makeAgent(t, agent).Login(ctx, request.RequestID)
	var e *Error
	equal(t, "whether only the seed's digest is tried", errors.As(err, &e) && e.Code == "INVALID_POW", true)
	agent.PowDigest = PowDigestToday
	_, err = makeAgent(t, agent).Login(ctx, request.RequestID)
	ok(t, err)
	for _, wrong := range []SiteOptions{{SiteToken: "st_x", Platform: 7}, {SiteToken: "st_x", JWKSForm: 7}} {
		_, err := NewSite(wrong)
		equal(t, "whether it is refused", errors.Is(err, ErrInvalidArgument), true)
	}
}
