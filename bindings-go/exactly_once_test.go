package lime

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

// loseALogin lets an agent sign in, loses the event, and breaks the stream.
func (h *home) loseALogin(t *testing.T, site *Site) string {
	t.Helper()
	id := createRequest(t, site)
	h.post(t, "/faults", values{"route": "events", "action": "lose", "site_id": h.siteID})
	h.post(t, "/login-requests/"+id+"/approve", values{})
	h.get(t, "/login-requests/"+id+"?status=DELIVERED&wait_ms=60000")
	h.post(t, "/streams/disconnect", values{"site_id": h.siteID, "abort": true})
	return id
}

func TestALostLoginIsReported(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	clock, err := NewClock(time.Now(), true)
	ok(t, err)
	home.siteOptions.Clock = clock
	site := home.newSite(t)
	ok(t, site.StartEvents())
	home.streams(t, home.siteID, 1)
	gaps := make(chan []string, 16)
	ok(t, site.OnGap(func([]string) { panic("the program's own") }))
	ok(t, site.OnGap(func(requestIDs []string) { gaps <- requestIDs }))
	id := home.loseALogin(t, site)
	waited := make(chan error, 1)
	go func() {
		_, err := site.WaitForLogin(watched(t), id, WaitOptions{Timeout: time.Minute})
		waited <- err
	}()
	// Until it is given up: what is asked when is the clock's.
	var lost []string
	for lost == nil {
		select {
		case lost = <-gaps:
		default:
			clock.Advance(time.Second)
			runtime.Gosched()
		}
	}
	equal(t, "how many are lost", len(lost), 1)
	equal(t, "what is lost", lost[0], id)
	err = receive(t, waited)
	var failure *Error
	if !errors.Is(err, ErrOutcomeUnknown) || !errors.As(err, &failure) || failure.Code != "LOGIN_EVENT_LOST" {
		t.Errorf("the wait ended with %v", err)
	}
	ok(t, site.Close())
	if err := site.OnGap(func([]string) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if err := home.newSite(t).OnGap(nil); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("without a handler: %v", err)
	}
}

func TestALostExpiryIsAskedForAndEventsAreToldOnce(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site := home.newSite(t)
	events := make(chan LoginEvent, 16)
	ok(t, site.OnLogin(func(event LoginEvent) { events <- event }))
	home.streams(t, home.siteID, 1)
	first, second := createRequest(t, site), createRequest(t, site)
	home.post(t, "/faults", values{"route": "events", "action": "lose", "site_id": home.siteID})
	home.post(t, "/login-requests/"+first+"/expire", values{})
	home.post(t, "/faults", values{"route": "events", "action": "repeat", "site_id": home.siteID})
	home.post(t, "/login-requests/"+second+"/expire", values{})
	equal(t, "the second", receive(t, events), LoginEvent{RequestID: second})
	home.post(t, "/streams/disconnect", values{"site_id": home.siteID, "abort": true})
	equal(t, "the first", receive(t, events), LoginEvent{RequestID: first})
	third := createRequest(t, site)
	home.post(t, "/login-requests/"+third+"/expire", values{})
	equal(t, "the third", receive(t, events), LoginEvent{RequestID: third})
}
