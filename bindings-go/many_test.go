package lime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"testing"
)

// fewThreads is what any number of waits may take: those that may be in the library at once, its own two, and Go's.
var fewThreads = cap(inside) + 34

// TestManyWaitsForLogins has all of them on one stream. The platform is in memory: a wait asks it once where its
// request stands, which over a network would be as many connections.
func TestManyWaitsForLogins(t *testing.T) {
	leavesNothing(t)
	stream, frames := io.Pipe()
	defer frames.Close()
	asked := make(chan struct{}, many)
	site := carriedSite(t, func(request *http.Request) (*http.Response, error) {
		id := path.Base(request.URL.Path)
		if id == "events" {
			response := answer(200, "")
			response.Header.Set("Content-Type", "text/event-stream")
			response.Body = stream
			return response, nil
		}
		asked <- struct{}{}
		return answer(200, fmt.Sprintf(`{"ok":true,"data":{"login_request_id":%q,"status":"PENDING"}}`, id)), nil
	})
	type ended struct {
		number int
		event  LoginEvent
		err    error
	}
	ends := make(chan ended, many)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for each := range many {
		go func() {
			waiting := context.Background()
			if each%2 == 1 {
				waiting = ctx // these are cancelled
			}
			event, err := site.WaitForLogin(waiting, fmt.Sprintf("lr_%d", each), WaitOptions{})
			ends <- ended{each, event, err}
		}()
	}
	for range many {
		receive(t, asked)
	}
	if now := threads(t); now > fewThreads {
		t.Errorf("%d threads for %d waits", now, many)
	}
	equal(t, "waits that have ended", len(ends), 0)
	const signedIn = 20
	for each := range signedIn { // even numbers
		fmt.Fprintf(frames, "data: {\"type\":\"expired\",\"login_request_id\":\"lr_%d\"}\n\n", 2*each)
	}
	for range signedIn {
		end := receive(t, ends)
		ok(t, end.err)
		equal(t, "event", end.event.RequestID, fmt.Sprintf("lr_%d", end.number))
	}
	cancel()
	for range many / 2 {
		if end := receive(t, ends); end.number%2 != 1 || !errors.Is(end.err, context.Canceled) {
			t.Fatalf("got %+v", end)
		}
	}
	ok(t, site.Close())
	for range many/2 - signedIn {
		if end := receive(t, ends); !errors.Is(end.err, ErrClosed) {
			t.Fatalf("got %+v", end)
		}
	}
	if now := threads(t); now > fewThreads {
		t.Errorf("%d threads after %d waits", now, many)
	}
}

// TestManyWaitsForApprovals has a broker in memory that holds every poll: a wait is a parked goroutine, and so is its
// request.
func TestManyWaitsForApprovals(t *testing.T) {
	leavesNothing(t)
	decided := make(chan struct{})
	polls := make(chan struct{}, many)
	broker := tripper(func(request *http.Request) (*http.Response, error) {
		polls <- struct{}{}
		select {
		case <-decided:
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
		return answer(200, fmt.Sprintf(`{"approval_id":%q,"status":"approved"}`, path.Base(request.URL.Path))), nil
	})
	sesame := makeSesame(t, SesameOptions{APIKey: "sk_x", BaseURL: "http://broker.test", Transport: broker})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	errs := make(chan error, many)
	for each := range many {
		go func() {
			waiting := context.Background()
			if each%2 == 1 {
				waiting = ctx // these are cancelled
			}
			id := fmt.Sprintf("ap_%d", each)
			approval, err := sesame.Wait(waiting, id, WaitOptions{})
			if each%2 == 0 && err == nil && (approval.ApprovalID != id || !approval.Approved()) {
				err = fmt.Errorf("got %+v", approval)
			}
			if each%2 == 1 && errors.Is(err, context.Canceled) {
				err = nil
			}
			errs <- err
		}()
	}
	for range many {
		receive(t, polls)
	}
	if now := threads(t); now > fewThreads {
		t.Errorf("%d threads for %d waits", now, many)
	}
	equal(t, "waits that have ended", len(errs), 0)
	cancel()
	for range many / 2 {
		ok(t, receive(t, errs))
	}
	close(decided)
	for range many / 2 {
		ok(t, receive(t, errs))
	}
	if now := threads(t); now > fewThreads {
		t.Errorf("%d threads after %d waits", now, many)
	}
}

// TestWaitsOverTheNetwork holds polls of a real broker.
func TestWaitsOverTheNetwork(t *testing.T) {
	leavesNothing(t)
	const count = 200
	sandbox := startSandbox(t)
	sesame := makeSesame(t, SesameOptions{APIKey: sandbox.APIKey, BaseURL: sandbox.SesameURL})
	errs := make(chan error, count)
	for range count {
		go func() {
			_, err := sesame.RequireApproval(watched(t), ApprovalRequest{Action: "many.waits", Summary: "s"}, WaitOptions{})
			errs <- err
		}()
	}
	sandbox.polls(t, count)
	if now := threads(t); now > fewThreads {
		t.Errorf("%d threads for %d waits", now, count)
	}
	sandbox.post(t, "/rules", values{"action": "many.waits", "decision": "approved"})
	for range count {
		ok(t, receive(t, errs))
	}
}

// tripper is an http.RoundTripper that is a function.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// answer is what a platform says.
func answer(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body))}
}
