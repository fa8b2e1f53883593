package lime

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"
)

func TestAClockOfTheTests(t *testing.T) {
	leavesNothing(t)
	clock, err := NewClock(time.Unix(1_750_000_000, 0), false)
	ok(t, err)
	down := tripper(func(*http.Request) (*http.Response, error) {
		return answer(503, `{"ok":false,"error":{"code":"DOWN","message":"Down"}}`), nil
	})
	site := carriedSite(t, down, func(o *SiteOptions) { o.Clock = clock })
	ok(t, site.StartEvents())
	// The back-offs of a stream whose platform is down, with no time passing by.
	ok(t, clock.SetJitter(0.5))
	for count := 1; count <= 6; count++ {
		ok(t, clock.WaitForSleeps(watched(t), count))
		sleeps := clock.Sleeps()
		clock.Advance(sleeps[len(sleeps)-1])
	}
	sleeps := clock.Sleeps()
	for at := 1; at < 4; at++ {
		if sleeps[at] <= sleeps[at-1] || sleeps[at] > 8*time.Second {
			t.Errorf("the back-offs are %v", sleeps)
		}
	}

	// A call's retries are a clock's that skips, too; its caller's context is the machine's.
	skipping, err := NewClock(time.Unix(1_750_000_000, 0), true)
	ok(t, err)
	other := carriedSite(t, down, func(o *SiteOptions) { o.Clock, o.MaxRetries = skipping, 2 })
	if _, err := other.ReadLoginRequest(watched(t), "lr_1"); !errors.Is(err, ErrAPI) {
		t.Errorf("got %v", err)
	}
	equal(t, "waits", len(skipping.Sleeps()), 2)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := clock.WaitForSleeps(gone, 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := clock.SetJitter(1); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("got %v", err)
	}
	if _, err := NewClock(time.Time{}, false); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("got %v", err)
	}
	if !reflect.DeepEqual(clock.Sleeps()[:len(sleeps)], sleeps) {
		t.Error("the past has changed")
	}
}

// TestAWaitOnATestClock ends with that clock, and with the machine's where it has a context.
func TestAWaitOnATestClock(t *testing.T) {
	leavesNothing(t)
	clock, err := NewClock(time.Now(), false)
	ok(t, err)
	hang := tripper(func(request *http.Request) (*http.Response, error) {
		<-request.Context().Done()
		return nil, request.Context().Err()
	})
	sesame := makeSesame(t, SesameOptions{APIKey: "sk_x", BaseURL: "http://broker.test", Transport: hang, Clock: clock})
	errs := make(chan error, 1)
	go func() {
		_, err := sesame.Wait(watched(t), "ap_1", WaitOptions{Timeout: time.Hour})
		errs <- err
	}()
	ok(t, clock.WaitForSleeps(watched(t), 1))
	clock.Advance(time.Hour)
	err = receive(t, errs)
	if !errors.Is(err, ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := sesame.Wait(short, "ap_1", WaitOptions{}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
}
