package lime

import (
	"errors"
	"testing"
	"time"
)

// TestLogin is the story of a login with everything going wrong that may: the first approve is answered by 503, the
// event stream is cut in the middle of the frame, the keys are rotated between two logins, a request expires.
func TestLogin(t *testing.T) {
	sandbox := startSandbox(t)
	site := makeSite(t, SiteOptions{SiteToken: sandbox.SiteToken, BaseURL: sandbox.APIBase})
	agent := makeAgent(t, AgentOptions{AgentToken: sandbox.AgentToken, BaseURL: sandbox.APIBase})
	ctx := watched(t)

	events, opened := make(chan LoginEvent, 16), make(chan StreamStatus, 16)
	ok(t, site.OnState(func(status StreamStatus) {
		if status.State == StreamBackingOff && !errors.Is(status.LastError, ErrTransport) {
			t.Errorf("backing off because of %v", status.LastError)
		}
		if status.State == StreamOpen {
			opened <- status
		}
	}))
	ok(t, site.OnLogin(func(event LoginEvent) { events <- event }))
	receive(t, opened)

	// A whole login; the passport is verified with whatever keys the platform has then.
	logIn := func(t *testing.T, meanwhile func()) {
		request, err := site.CreateLoginRequest(ctx)
		ok(t, err)
		equal(t, "status", request.Status, "PENDING")
		if !request.ExpiresAt.After(time.Unix(1700000000, 0)) {
			t.Errorf("it expires at %v", request.ExpiresAt)
		}
		meanwhile()
		result, err := agent.Login(ctx, request.RequestID)
		ok(t, err)
		equal(t, "request", result.RequestID, request.RequestID)
		equal(t, "whether the site is told", result.SiteID != "", true)
		event := receive(t, events)
		equal(t, "event", event.RequestID, request.RequestID)
		waited, err := site.WaitForLogin(ctx, request.RequestID, WaitOptions{Timeout: time.Minute})
		ok(t, err)
		equal(t, "what was waited for", waited, event)
		passport, err := site.VerifyPassport(ctx, event.Passport, PassportCheck{RequestID: request.RequestID})
		ok(t, err)
		equal(t, "request of the passport", passport.RequestID, request.RequestID)
		equal(t, "agent of the passport", passport.AgentID, result.ApprovedAgentID)
		wrong, err := site.VerifyPassport(ctx, event.Passport, PassportCheck{RequestID: "another"})
		if wrong != nil || !errors.Is(err, ErrInvalidPassport) {
			t.Errorf("another request's passport: %v, %v", wrong, err)
		}
		found, err := site.ReadLoginRequest(ctx, request.RequestID)
		ok(t, err)
		equal(t, "status", found.Status, "DELIVERED")
		equal(t, "request", found.RequestID, request.RequestID)
	}

	t.Run("through_a_503_and_a_cut", func(t *testing.T) {
		logIn(t, func() {
			sandbox.streams(t, sandbox.SiteID, 1)
			sandbox.post(t, "/faults", []values{
				{"route": "approve", "status": 503, "headers": values{"retry-after": "0"}},
				{"route": "events", "action": "cut"},
			})
		})
		receive(t, opened)
		if stats := site.Stats(); stats.Connections < 2 || stats.Events < 1 || stats.MalformedFrames != 0 {
			t.Errorf("got %+v", stats)
		}
		if err := site.LastError(); !errors.Is(err, ErrTransport) {
			t.Errorf("the last connection ended with %v", err)
		}
		var answers []any
		for _, request := range list(t, sandbox.get(t, "/received?route=approve"), "received") {
			answers = append(answers, request["status"])
		}
		if len(answers) != 2 || answers[0] != 503.0 || answers[1] != 200.0 {
			t.Errorf("approve was answered by %v", answers)
		}
	})

	t.Run("through_rotated_keys", func(t *testing.T) {
		logIn(t, func() { sandbox.post(t, "/keys/rotate", values{}) })
	})

	t.Run("a_request_expires", func(t *testing.T) {
		id := createRequest(t, site)
		sandbox.post(t, "/login-requests/"+id+"/expire", nil)
		event, err := site.WaitForLogin(ctx, id, WaitOptions{Timeout: time.Minute})
		ok(t, err)
		equal(t, "whether it has expired", event.Expired(), true)
		equal(t, "event", receive(t, events), LoginEvent{RequestID: id})
		if _, err := agent.Login(ctx, id); !errors.Is(err, ErrAPI) {
			t.Errorf("an expired request: %v", err)
		}
	})

	t.Run("the_profile", func(t *testing.T) {
		profile, err := agent.Profile(ctx)
		ok(t, err)
		if profile.AgentID == "" || profile.OwnerID == "" {
			t.Errorf("got %+v", profile)
		}
		other := sandbox.post(t, "/agents", values{"display_name": "Ada", "owner_kyc_level": 2, "agent_reputation": -7,
			"description": "Zoë's", "avatar_url": "https://a.test/1.png"})
		ada := makeAgent(t, AgentOptions{AgentToken: other["agent_token"].(string), BaseURL: sandbox.APIBase})
		profile, err = ada.Profile(ctx)
		ok(t, err)
		equal(t, "name", profile.DisplayName, "Ada")
		equal(t, "description", profile.Description, "Zoë's")
		equal(t, "picture", profile.AvatarURL, "https://a.test/1.png")
		if profile.OwnerKYCLevel == nil || *profile.OwnerKYCLevel != 2 || profile.AgentReputation == nil || *profile.AgentReputation != -7 {
			t.Errorf("got %+v", profile)
		}
	})
}

func TestLoginIsShown(t *testing.T) {
	home := newHome(t)
	site, agent := home.newSite(t), home.newAgent(t)
	var seen []LoginProgress
	result, err := agent.LoginWithProgress(watched(t), createRequest(t, site), func(progress LoginProgress) {
		seen = append(seen, progress)
	})
	ok(t, err)
	equal(t, "status", result.Status, "APPROVED")
	// The search does not wait to be looked at: it may be over by the first time.
	if len(seen) == 0 || seen[0].Left <= 9*time.Second || seen[0].Left > 10*time.Second || seen[0].Difficulty == 0 {
		t.Errorf("saw %+v", seen)
	}

	// It goes on being shown while the search goes on, and whoever is shown it may end it.
	hard := startSandbox(t, "--difficulty", "250")
	site = makeSite(t, SiteOptions{SiteToken: hard.SiteToken, BaseURL: hard.APIBase})
	agent = makeAgent(t, AgentOptions{AgentToken: hard.AgentToken, BaseURL: hard.APIBase, PowTimeout: time.Hour})
	id := createRequest(t, site)
	func() {
		defer func() { equal(t, "what show panicked with", recover(), any("enough")) }()
		_, err := agent.LoginWithProgress(watched(t), id, func(progress LoginProgress) {
			if progress.Stage == StagePow && progress.Hashes > 0 {
				equal(t, "difficulty", progress.Difficulty, 250)
				equal(t, "stage", progress.Stage.String(), "pow")
				panic("enough")
			}
		})
		t.Errorf("the login ended with %v", err)
	}()
	noHandlesAreLeft(t)
	ok(t, agent.Close())
	if _, err := agent.LoginWithProgress(watched(t), id, func(LoginProgress) { t.Error("shown") }); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed agent: %v", err)
	}
}

func TestLoginFailsForSayingWhy(t *testing.T) {
	home := newHome(t)
	agent := home.newAgent(t)
	_, err := agent.Login(watched(t), "lr_nobody")
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindAPI || e.RequestID != "lr_nobody" || e.HTTPStatus != 404 || e.Code == "" {
		t.Errorf("got %#v", err)
	}
	refused := makeAgent(t, AgentOptions{AgentToken: "at_nobody", BaseURL: home.APIBase})
	if _, err := refused.Profile(watched(t)); !errors.Is(err, ErrAuthentication) {
		t.Errorf("a token of nobody's: %v", err)
	}
}
