package lime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestSesame is the story of a gate in all its turns, with a human, rules, faults, and a receiver of webhooks.
func TestSesame(t *testing.T) {
	sandbox := startSandbox(t)
	sesame := makeSesame(t, SesameOptions{APIKey: sandbox.APIKey, BaseURL: sandbox.SesameURL})
	ctx := watched(t)
	forever := WaitOptions{PollInterval: time.Millisecond}

	ask := func(t *testing.T, action string) string {
		t.Helper()
		approval, err := sesame.Trigger(ctx, ApprovalRequest{Action: action, Summary: "Something to decide"})
		ok(t, err)
		equal(t, "status", approval.Status, ApprovalPending)
		return approval.ApprovalID
	}
	rule := func(t *testing.T, action, decision string) {
		t.Helper()
		sandbox.post(t, "/rules", values{"action": action, "decision": decision, "delay_ms": 20, "count": 1, "note": "Decided by a test"})
	}
	type ended struct {
		approval *Approval
		err      error
	}
	start := func(wait func() (*Approval, error)) <-chan ended {
		done := make(chan ended, 1)
		go func() {
			approval, err := wait()
			done <- ended{approval, err}
		}()
		return done
	}
	waiting := func(id string) <-chan ended {
		return start(func() (*Approval, error) { return sesame.Wait(ctx, id, forever) })
	}
	// pending gives the one approval of an action that nobody has decided, as soon as it is there.
	pending := func(t *testing.T, action string) string {
		t.Helper()
		for {
			for _, approval := range list(t, sandbox.get(t, "/approvals?status=pending&min=1&wait_ms=30000"), "approvals") {
				if approval["action"] == action {
					return approval["approval_id"].(string)
				}
			}
			ok(t, ctx.Err())
		}
	}

	t.Run("everything_is_asked_for", func(t *testing.T) {
		context := json.RawMessage(`{"amount": 4200, "exact": 123456789012345678901234567890, "who": "Zoë"}`)
		request := ApprovalRequest{Action: "first.refund", Summary: "Refund €42", Reason: "charged twice", Severity: "high",
			DedupKey: "refund-1", Context: context}
		approval, err := sesame.Trigger(ctx, request)
		ok(t, err)
		equal(t, "status", approval.Status, ApprovalPending)
		equal(t, "approved or terminal", approval.Approved() || approval.Terminal(), false)
		equal(t, "whether it has a time", approval.ExpiresAt.After(time.Unix(1700000000, 0)), true)
		equal(t, "time of the decision", approval.DecidedAt, time.Time{})
		equal(t, "note", approval.Note, "")
		asked := sandbox.get(t, "/approvals/"+approval.ApprovalID)
		wanted := values{"action": "first.refund", "summary": "Refund €42", "reason": "charged twice", "severity": "high",
			"dedup_key": "refund-1", "callback_url": nil, "status": "pending"}
		for name, want := range wanted {
			equal(t, name, asked[name], want)
		}
		received := list(t, sandbox.get(t, "/received?route=trigger_approval"), "received")[0]
		if body := received["body"].(string); !strings.Contains(body, string(context)) {
			t.Errorf("the context was not sent as it is: %s", body)
		}
		request.Context = struct {
			N int `json:"n"`
		}{7}
		request.DedupKey = ""
		_, err = sesame.Trigger(ctx, request)
		ok(t, err)
		received = list(t, sandbox.get(t, "/received?route=trigger_approval"), "received")[1]
		if body := received["body"].(string); !strings.Contains(body, `{"n":7}`) {
			t.Errorf("the context was sent as %s", body)
		}
		for name, bad := range map[string]any{"list": []int{}, "channel": make(chan int), "broken": json.RawMessage("{"), "none": json.RawMessage{}} {
			request.Context = bad
			if _, err := sesame.Trigger(ctx, request); name != "none" && !errors.Is(err, ErrInvalidArgument) {
				t.Errorf("%s as context: %v", name, err)
			}
		}
	})

	t.Run("a_decision_is_waited_for", func(t *testing.T) {
		id := ask(t, "a.b")
		wait := waiting(id)
		sandbox.polls(t, 1)
		approval, err := sesame.Get(ctx, id)
		ok(t, err)
		equal(t, "terminal", approval.Terminal(), false)
		sandbox.decide(t, id, "approved")
		end := receive(t, wait)
		ok(t, end.err)
		equal(t, "approval", end.approval.ApprovalID, id)
		equal(t, "approved", end.approval.Approved(), true)
		// It can be waited for again, by anybody, and by an id with white space around.
		approval, err = sesame.Wait(ctx, " "+id+"\n", forever)
		ok(t, err)
		equal(t, "approval", approval.ApprovalID, id)
		equal(t, "approved and terminal", approval.Approved() && approval.Terminal(), true)
		equal(t, "whether it has a time", approval.DecidedAt.After(time.Unix(1700000000, 0)), true)
		equal(t, "note", approval.Note, "Decided by a test")
	})

	t.Run("the_same_key_is_the_same_approval", func(t *testing.T) {
		request := ApprovalRequest{Action: "a.b", Summary: "Something to decide", DedupKey: "once"}
		var first string
		for round := range 3 {
			approval, err := sesame.Trigger(ctx, request)
			ok(t, err)
			if round == 0 {
				first = approval.ApprovalID
			}
			equal(t, "approval", approval.ApprovalID, first)
			equal(t, "status", approval.Status, []string{ApprovalPending, ApprovalPending, ApprovalDenied}[round])
			if round == 1 {
				sandbox.decide(t, first, "denied")
			}
		}
	})

	t.Run("a_gate_opens", func(t *testing.T) {
		rule(t, "payments.*", "approved")
		approval, err := sesame.RequireApproval(ctx, ApprovalRequest{Action: "payments.refund", Summary: "s"}, WaitOptions{Timeout: time.Minute})
		ok(t, err)
		equal(t, "approved", approval.Approved(), true)
	})

	t.Run("a_gate_stays_shut", func(t *testing.T) {
		rule(t, "db.*", "denied")
		approval, err := sesame.RequireApproval(ctx, ApprovalRequest{Action: "db.delete", Summary: "s"}, WaitOptions{Timeout: time.Minute})
		var e *Error
		if approval != nil || !errors.Is(err, ErrApprovalDenied) || !errors.As(err, &e) {
			t.Fatalf("got %v, %v", approval, err)
		}
		equal(t, "code", e.Code, ApprovalDenied)
		if !strings.Contains(e.Message, "db.delete") || !strings.Contains(e.Message, "Decided by a test") || e.ApprovalID == "" || e.RequestID != "" {
			t.Errorf("got %+v", e)
		}
	})

	t.Run("an_approval_lets_one_call_through", func(t *testing.T) {
		rule(t, "once.*", "approved")
		request := ApprovalRequest{Action: "once.only", Summary: "s", DedupKey: "once-1", Context: values{"n": 1}}
		_, err := sesame.RequireApproval(ctx, request, forever)
		ok(t, err)
		changed := request
		changed.Context = values{"n": 2}
		for code, request := range map[string]ApprovalRequest{"already_used": request, "args_changed": changed} {
			approval, err := sesame.RequireApproval(ctx, request, forever)
			var e *Error
			if approval != nil || !errors.Is(err, ErrApprovalDenied) || !errors.As(err, &e) || e.Code != code || e.ApprovalID == "" {
				t.Errorf("%s: %v, %#v", code, approval, err)
			}
		}
	})

	t.Run("an_approval_expires", func(t *testing.T) {
		gate := start(func() (*Approval, error) {
			return sesame.RequireApproval(ctx, ApprovalRequest{Action: "slow.one", Summary: "s"}, WaitOptions{})
		})
		id := pending(t, "slow.one")
		sandbox.post(t, "/approvals/"+id+"/expire", nil)
		end := receive(t, gate)
		var e *Error
		if !errors.Is(end.err, ErrApprovalDenied) || !errors.As(end.err, &e) {
			t.Fatalf("got %v", end.err)
		}
		equal(t, "code", e.Code, ApprovalExpired)
		equal(t, "approval", e.ApprovalID, id)
		// A wait that only waits tells how it ended.
		approval, err := sesame.Wait(ctx, id, forever)
		ok(t, err)
		equal(t, "status", approval.Status, ApprovalExpired)
		equal(t, "approved", approval.Approved(), false)
		equal(t, "terminal", approval.Terminal(), true)
	})

	t.Run("nobody_decides_in_time", func(t *testing.T) {
		id := ask(t, "slow.one")
		timedOut := func(err error, of string) *Error {
			t.Helper()
			var e *Error
			if !errors.Is(err, ErrTimeout) || !errors.As(err, &e) || !e.Timeout() {
				t.Fatalf("got %v", err)
			}
			if of != "" {
				equal(t, "approval", e.ApprovalID, of)
			}
			return e
		}
		for _, timeout := range []time.Duration{1, 20 * time.Millisecond} {
			_, err := sesame.Wait(ctx, id, WaitOptions{Timeout: timeout})
			e := timedOut(err, id)
			equal(t, "whether the message says so", strings.Contains(e.Message, "not decided within"), true)
			equal(t, "whether it was the context's deadline", errors.Is(err, context.DeadlineExceeded), false)
		}
		// A context's deadline says no less.
		short, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
		defer cancel()
		_, err := sesame.RequireApproval(short, ApprovalRequest{Action: "slow.two", Summary: "s"}, WaitOptions{Timeout: time.Hour})
		gate := timedOut(err, "")
		equal(t, "whether it was the context's deadline", errors.Is(err, context.DeadlineExceeded), true)
		if gate.ApprovalID == "" || gate.ApprovalID == id {
			t.Fatalf("got %+v", gate)
		}
		// It is still pending, and waiting can go on.
		wait := waiting(gate.ApprovalID)
		sandbox.decide(t, gate.ApprovalID, "approved")
		end := receive(t, wait)
		ok(t, end.err)
		equal(t, "approved", end.approval.Approved(), true)
		for _, bad := range []WaitOptions{{Timeout: -1}, {PollInterval: -1}} {
			if _, err := sesame.Wait(ctx, id, bad); !errors.Is(err, ErrInvalidArgument) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})

	t.Run("a_broker_that_holds_polls_for_a_moment_only", func(t *testing.T) {
		hold := func(seconds float64) {
			sandbox.control(t, http.MethodPatch, "/settings", values{"long_poll_seconds": seconds})
		}
		hold(0.02)
		id := ask(t, "a.b")
		approval, err := sesame.GetWhenDecided(ctx, id)
		ok(t, err)
		equal(t, "status", approval.Status, ApprovalPending)
		before := list(t, sandbox.get(t, "/received"), "received")
		wait := waiting(id)
		after, _ := json.Marshal(before[len(before)-1]["n"])
		sandbox.get(t, "/received?route=read_approval&after="+string(after)+"&min=5&wait_ms=30000")
		sandbox.decide(t, id, "denied")
		end := receive(t, wait)
		ok(t, end.err)
		equal(t, "status", end.approval.Status, ApprovalDenied)
		hold(25)
	})

	t.Run("cancelling_a_wait_and_a_gate", func(t *testing.T) {
		id := ask(t, "a.b")
		cancelled, cancel := context.WithCancelCause(ctx)
		why := errors.New("the user went away")
		ends := []<-chan ended{
			start(func() (*Approval, error) { return sesame.Wait(cancelled, id, forever) }),
			start(func() (*Approval, error) {
				return sesame.RequireApproval(cancelled, ApprovalRequest{Action: "a.gate", Summary: "s"}, WaitOptions{})
			}),
		}
		sandbox.polls(t, 2)
		cancel(why)
		for _, each := range ends {
			end := receive(t, each)
			for _, target := range []error{ErrCancelled, context.Canceled, why} {
				if !errors.Is(end.err, target) {
					t.Errorf("%v is not %v", end.err, target)
				}
			}
			if errors.Is(end.err, ErrTimeout) || errors.Is(end.err, context.DeadlineExceeded) {
				t.Errorf("%v counts as a timeout", end.err)
			}
		}
		sandbox.polls(t, 0) // the broker was told, by the connections that ended
		approval, err := sesame.Get(ctx, id)
		ok(t, err)
		equal(t, "status", approval.Status, ApprovalPending)
	})

	t.Run("unknown_ids", func(t *testing.T) {
		for _, id := range []string{"ap_nobody", "", "  ", ".", "..", "a/b", "../v1", "a?b", "a#b", "a%2Fb", "a\nb", "é"} {
			for name, call := range map[string]func() (*Approval, error){
				"Get":            func() (*Approval, error) { return sesame.Get(ctx, id) },
				"GetWhenDecided": func() (*Approval, error) { return sesame.GetWhenDecided(ctx, id) },
				"Wait":           func() (*Approval, error) { return sesame.Wait(ctx, id, WaitOptions{}) },
			} {
				approval, err := call()
				var e *Error
				if approval != nil || !errors.Is(err, ErrNotFound) || !errors.As(err, &e) {
					t.Errorf("%s(%q): %v, %v", name, id, approval, err)
					continue
				}
				// The broker's word, or that no URL could ask for it.
				if e.HTTPStatus != 404 {
					equal(t, "code", e.Code, "INVALID_APPROVAL_ID")
				}
			}
		}
	})

	t.Run("a_refused_key", func(t *testing.T) {
		if _, err := NewSesame(SesameOptions{APIKey: "  "}); !errors.Is(err, ErrAuthentication) {
			t.Errorf("no key: %v", err)
		}
		var log lockedBuffer
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		refused := makeSesame(t, SesameOptions{APIKey: "sk_nobody", BaseURL: sandbox.SesameURL, Logger: logger})
		request := ApprovalRequest{Action: "a.b", Summary: "s"}
		_, trigger := refused.Trigger(ctx, request)
		_, get := refused.Get(ctx, "ap_1")
		_, wait := refused.Wait(ctx, "ap_1", forever)
		_, gate := refused.RequireApproval(ctx, request, forever)
		for _, err := range []error{trigger, get, wait, gate} {
			var e *Error
			if !errors.Is(err, ErrAuthentication) || !errors.As(err, &e) || e.HTTPStatus != 401 || strings.Contains(err.Error(), "sk_nobody") {
				t.Errorf("got %v", err)
			}
		}
		eventually(t, "something is logged", func() bool { return strings.Contains(log.String(), "/v1/approvals") })
		equal(t, "whether the key is in the log", strings.Contains(log.String(), "sk_nobody"), false)
	})

	t.Run("a_request_that_the_broker_does_not_take", func(t *testing.T) {
		_, err := sesame.RequireApproval(ctx, ApprovalRequest{Summary: "s"}, forever)
		var e *Error
		if !errors.Is(err, ErrAPI) || !errors.As(err, &e) || e.HTTPStatus != 422 || e.ApprovalID != "" {
			t.Errorf("got %#v", err)
		}
	})

	t.Run("a_wait_rides_out_faults", func(t *testing.T) {
		id := ask(t, "a.b")
		sandbox.post(t, "/faults", []values{
			{"route": "read_approval", "status": 503},
			{"route": "read_approval", "action": "drop_before", "reset": true},
			{"route": "read_approval", "action": "garbage"},
			{"route": "read_approval", "status": 429, "headers": values{"retry-after": "0"}},
		})
		wait := waiting(id)
		sandbox.polls(t, 1) // behind all of them
		sandbox.decide(t, id, "approved")
		end := receive(t, wait)
		ok(t, end.err)
		equal(t, "approved", end.approval.Approved(), true)
	})

	t.Run("a_question_whose_answer_is_lost", func(t *testing.T) {
		lose := func() { sandbox.post(t, "/faults", values{"route": "trigger_approval", "action": "drop_after"}) }
		asked := func(action string) (count int) {
			for _, approval := range list(t, sandbox.get(t, "/approvals"), "approvals") {
				if approval["action"] == action {
					count++
				}
			}
			return count
		}
		lose()
		if _, err := sesame.Trigger(ctx, ApprovalRequest{Action: "lost.one", Summary: "s"}); !errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("got %v", err)
		}
		equal(t, "how often it was asked", asked("lost.one"), 1)
		lose()
		_, err := sesame.Trigger(ctx, ApprovalRequest{Action: "lost.two", Summary: "s", DedupKey: "lost"})
		ok(t, err)
		equal(t, "how often it was asked", asked("lost.two"), 1)
	})

	t.Run("a_closed_client_refuses", func(t *testing.T) {
		shut := makeSesame(t, SesameOptions{APIKey: sandbox.APIKey, BaseURL: sandbox.SesameURL})
		ok(t, shut.Close())
		ok(t, shut.Close())
		request := ApprovalRequest{Action: "a.b", Summary: "s"}
		_, trigger := shut.Trigger(ctx, request)
		_, get := shut.Get(ctx, "x")
		_, wait := shut.Wait(ctx, "x", forever)
		_, gate := shut.RequireApproval(ctx, request, forever)
		for _, err := range []error{trigger, get, wait, gate} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	})

	t.Run("closing_the_client_leaves_waits", func(t *testing.T) {
		other := makeSesame(t, SesameOptions{APIKey: sandbox.APIKey, BaseURL: sandbox.SesameURL})
		id := ask(t, "a.b")
		wait := start(func() (*Approval, error) { return other.Wait(ctx, id, forever) })
		sandbox.polls(t, 1)
		ok(t, other.Close())
		sandbox.decide(t, id, "approved")
		end := receive(t, wait)
		ok(t, end.err)
		equal(t, "approved", end.approval.Approved(), true)
	})

	t.Run("a_webhook_arrives", func(t *testing.T) {
		verifier, err := NewWebhookVerifier(WebhookOptions{Secrets: []string{"whsec_old", sandbox.WebhookSecret}, ReplayGuard: &ReplayGuard{}})
		ok(t, err)
		other, err := NewWebhookVerifier(WebhookOptions{Secrets: []string{"whsec_old"}})
		ok(t, err)
		type delivery struct {
			webhook *Webhook
			err     error
			header  http.Header
			body    []byte
		}
		deliveries := make(chan delivery, 1)
		receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var body bytes.Buffer
			r.Body = io.NopCloser(io.TeeReader(r.Body, &body))
			webhook, err := verifier.VerifyRequest(r)
			deliveries <- delivery{webhook, err, r.Header, body.Bytes()}
		}))
		defer receiver.Close()
		approval, err := sesame.Trigger(ctx, ApprovalRequest{Action: "web.hook", Summary: "s", DedupKey: "hooked", CallbackURL: receiver.URL})
		ok(t, err)
		sandbox.decide(t, approval.ApprovalID, "denied")
		first := receive(t, deliveries)
		ok(t, first.err)
		webhook := first.webhook
		equal(t, "approval", webhook.ApprovalID, approval.ApprovalID)
		equal(t, "action", webhook.Action, "web.hook")
		equal(t, "status", webhook.Status, ApprovalDenied)
		equal(t, "approved", webhook.Approved(), false)
		equal(t, "key", webhook.DedupKey, "hooked")
		equal(t, "payload", string(webhook.PayloadJSON), string(first.body))
		if webhook.DecidedAt.Before(time.Unix(1700000000, 0)) || webhook.Timestamp.Before(time.Unix(1700000000, 0)) {
			t.Errorf("got %+v", webhook)
		}
		resend := func() delivery {
			t.Helper()
			sent := list(t, sandbox.get(t, "/webhooks?approval_id="+approval.ApprovalID+"&min=1&wait_ms=30000"), "webhooks")[0]
			number, _ := json.Marshal(sent["n"])
			sandbox.post(t, "/webhooks/"+string(number)+"/resend", nil)
			return receive(t, deliveries)
		}
		again := resend()
		var e *Error
		if !errors.Is(again.err, ErrWebhook) || !errors.As(again.err, &e) || e.Code != RefusalReplayed {
			t.Errorf("a replay: %v", again.err)
		}
		equal(t, "whether it was known", verifier.Forget(first.body), true)
		ok(t, resend().err)
		if _, err := other.Verify(first.header, first.body); !errors.As(err, &e) || e.Code != RefusalMismatch {
			t.Errorf("another secret: %v", err)
		}
	})

	sandbox.polls(t, 0)
}
