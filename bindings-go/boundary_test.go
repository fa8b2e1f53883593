package lime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
	"weak"
)

// lockedBuffer takes what several goroutines write.
type lockedBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.buffer.String()
}

// processStatus is a field of what the kernel knows of this process.
func processStatus(t testing.TB, field string) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	ok(t, err)
	for _, line := range strings.Split(string(status), "\n") {
		if value, found := strings.CutPrefix(line, field+":"); found {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s", field)
	return ""
}

func threads(t testing.TB) int {
	t.Helper()
	count, err := strconv.Atoi(processStatus(t, "Threads"))
	ok(t, err)
	return count
}

// leavesNothing checks at the end of a test, when its clients are closed, that no handle and no goroutine is left.
func leavesNothing(t *testing.T) {
	t.Helper()
	shared(t) // its own goroutines are not the test's
	plainClient.CloseIdleConnections()
	eventually(t, "the tests before have ended", func() bool { return handles.Load() == 0 })
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		noHandlesAreLeft(t)
		eventually(t, "no goroutine is left", func() bool {
			plainClient.CloseIdleConnections()
			return runtime.NumGoroutine() <= before
		})
	})
}

func noHandlesAreLeft(t testing.TB) {
	t.Helper()
	eventually(t, "no handle is left", func() bool { return handles.Load() == 0 })
}

// libraryNames are what the library's threads are called, as far as the kernel keeps names.
var libraryNames = map[string]bool{"lime-runtime": true, "lime-dispatcher": true}

func TestMakingClientsStartsNothing(t *testing.T) {
	home := newHome(t)
	eventually(t, "the tests before have ended", func() bool { return handles.Load() == 0 })
	libraryThreads := func() (count int) {
		tasks, err := os.ReadDir("/proc/self/task")
		ok(t, err)
		for _, task := range tasks {
			name, err := os.ReadFile("/proc/self/task/" + task.Name() + "/comm")
			if err == nil && libraryNames[strings.TrimSpace(string(name))] {
				count++
			}
		}
		return count
	}
	eventually(t, "no thread of the library runs", func() bool { return libraryThreads() == 0 })
	site, agent, sesame := home.newSite(t), home.newAgent(t), newSesame(t)
	equal(t, "threads of the library", libraryThreads(), 0)
	equal(t, "state", site.State(), StreamIdle)
	_, err := agent.Profile(watched(t))
	ok(t, err)
	equal(t, "threads of the library", libraryThreads(), 2)
	ok(t, errors.Join(site.Close(), agent.Close(), sesame.Close()))
	eventually(t, "they end with the last client", func() bool { return libraryThreads() == 0 })
}

func TestVersionsAgree(t *testing.T) {
	equal(t, "version", Version(), HeaderVersion)
	ok(t, checkABI())
	if err := checkABIVersion(2, 3); !errors.Is(err, ErrInternal) || !strings.Contains(err.Error(), "older") {
		t.Errorf("an older library: %v", err)
	}
}

func TestNULIsRefused(t *testing.T) {
	home := newHome(t)
	site, agent, sesame := home.newSite(t), home.newAgent(t), newSesame(t)
	ctx := watched(t)
	const bad = "a\x00b"
	calls := map[string]func() error{
		"SiteToken": func() error { _, err := NewSite(SiteOptions{SiteToken: bad}); return err },
		"BaseURL": func() error {
			_, err := NewSite(SiteOptions{SiteToken: "x", BaseURL: "http://localhost/\x00"})
			return err
		},
		"AgentToken":       func() error { _, err := NewAgent(AgentOptions{AgentToken: bad}); return err },
		"APIKey":           func() error { _, err := NewSesame(SesameOptions{APIKey: bad}); return err },
		"ReadLoginRequest": func() error { _, err := site.ReadLoginRequest(ctx, bad); return err },
		"WaitForLogin":     func() error { _, err := site.WaitForLogin(ctx, bad, WaitOptions{}); return err },
		"jwt":              func() error { _, err := site.VerifyPassport(ctx, bad, PassportCheck{RequestID: "x"}); return err },
		"RequestID":        func() error { _, err := site.VerifyPassport(ctx, "x", PassportCheck{RequestID: bad}); return err },
		"Login":            func() error { _, err := agent.Login(ctx, bad); return err },
		"Get":              func() error { _, err := sesame.Get(ctx, bad); return err },
		"Wait":             func() error { _, err := sesame.Wait(ctx, bad, WaitOptions{}); return err },
		"Action":           func() error { _, err := sesame.Trigger(ctx, ApprovalRequest{Action: bad}); return err },
		"Summary":          func() error { _, err := sesame.Trigger(ctx, ApprovalRequest{Summary: bad}); return err },
		"Reason":           func() error { _, err := sesame.Trigger(ctx, ApprovalRequest{Reason: bad}); return err },
		"DedupKey":         func() error { _, err := sesame.Trigger(ctx, ApprovalRequest{DedupKey: bad}); return err },
		"timestamp":        func() error { _, err := ParseTimestamp("2026-08-01T12:34:56Z\x00"); return err },
		"APIRoot": func() error {
			_, err := VerifyPassport("x", PassportKeys{APIRoot: bad}, PassportCheck{AnyRequest: true})
			return err
		},
		// And what is not UTF-8.
		"UTF-8 token": func() error { _, err := NewSite(SiteOptions{SiteToken: "\xc3\x28"}); return err },
		"UTF-8 id":    func() error { _, err := sesame.Get(ctx, "\xc3\x28"); return err },
		"UTF-8 frame": func() error { _, err := ParseLoginFrame([]byte("\xc3\x28")); return err },
		"UTF-8 pow": func() error {
			_, err := SolvePow(ctx, "\xc3\x28", 1, PowOptions{Digest: PowDigestSeed})
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Where a peer decides what comes in, a NUL is a byte like any other.
	if _, err := OpenEnvelope(200, []byte("\x00")); !errors.Is(err, ErrBadResponse) {
		t.Errorf("an envelope: %v", err)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	site := func(change func(*SiteOptions)) error {
		options := SiteOptions{SiteToken: "st_x"}
		change(&options)
		made, err := NewSite(options)
		if err == nil {
			made.Close()
		}
		return err
	}
	for name, err := range map[string]error{
		"Timeout":          site(func(o *SiteOptions) { o.Timeout = -1 }),
		"ReconnectBackoff": site(func(o *SiteOptions) { o.ReconnectBackoff = -1 }),
		"EventQueueLimit":  site(func(o *SiteOptions) { o.EventQueueLimit = -1 }),
		"PostRetry":        site(func(o *SiteOptions) { o.PostRetry = 99 }),
		"BaseURL":          site(func(o *SiteOptions) { o.BaseURL = "ftp://x/" }),
		"credentials":      site(func(o *SiteOptions) { o.BaseURL = "http://u:p@x/" }),
	} {
		if !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewAgent(AgentOptions{AgentToken: "x", PowDigest: 7}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("PowDigest: %v", err)
	}
	if _, err := NewWebhookVerifier(WebhookOptions{MaxBody: -1}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("MaxBody: %v", err)
	}
	if _, err := NewWebhookVerifier(WebhookOptions{ReplayGuard: &ReplayGuard{Capacity: -1}}); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("Capacity: %v", err)
	}
	for _, err := range []error{
		site(func(o *SiteOptions) { o.MaxRetries, o.JWKSCacheTTL = -1, -1 }),
		site(func(o *SiteOptions) { o.MaxRetries, o.Timeout, o.EventQueueLimit = 1<<40, 1<<62, 1<<40 }),
	} {
		ok(t, err)
	}
	t.Setenv("LIME_SITE_TOKEN", "")
	if _, err := NewSite(SiteOptions{}); !errors.Is(err, ErrAuthentication) {
		t.Errorf("no token: %v", err)
	}
}

// TestTheEnvironmentCounts: TestMain has set it.
func TestTheEnvironmentCounts(t *testing.T) {
	site, agent, sesame := makeSite(t, SiteOptions{}), makeAgent(t, AgentOptions{}), makeSesame(t, SesameOptions{})
	_, err := agent.Login(watched(t), createRequest(t, site))
	ok(t, err)
	_, err = sesame.Trigger(watched(t), ApprovalRequest{Action: "a", Summary: "b"})
	ok(t, err)
}

func TestAPassportCheckThatChecksNothingIsRefused(t *testing.T) {
	site := newHome(t).newSite(t)
	for _, check := range []PassportCheck{{}, {RequireIssuer: true}, {RequestID: "lr_1", AnyRequest: true}} {
		_, err := site.VerifyPassport(watched(t), "x", check)
		_, other := VerifyPassport("x", PassportKeys{JWKS: []byte("{}"), APIRoot: "http://x"}, check)
		if !errors.Is(err, ErrInvalidArgument) || !errors.Is(other, ErrInvalidArgument) {
			t.Errorf("%+v: %v, %v", check, err, other)
		}
	}
	if _, err := site.VerifyPassport(watched(t), "no passport", PassportCheck{AnyRequest: true}); !errors.Is(err, ErrInvalidPassport) {
		t.Errorf("no passport: %v", err)
	}
}

// TestAPassportIsVerifiedWithKeysAtHand: once they are here, nothing is asked and nothing is waited for.
func TestAPassportIsVerifiedWithKeysAtHand(t *testing.T) {
	leavesNothing(t)
	sandbox := startSandbox(t)
	site := makeSite(t, SiteOptions{SiteToken: sandbox.SiteToken, BaseURL: sandbox.APIBase})
	agent := makeAgent(t, AgentOptions{AgentToken: sandbox.AgentToken, BaseURL: sandbox.APIBase})
	id := signIn(t, site, agent)
	event, err := site.WaitForLogin(watched(t), id, WaitOptions{})
	ok(t, err)
	check := PassportCheck{RequestID: id}
	for range 3 {
		passport, err := site.VerifyPassport(watched(t), event.Passport, check)
		ok(t, err)
		equal(t, "request", passport.RequestID, id)
	}
	equal(t, "how often the keys were fetched", len(list(t, sandbox.get(t, "/received?route=jwks"), "received")), 1)
	if _, err := site.VerifyPassport(watched(t), event.Passport, PassportCheck{RequestID: "another"}); !errors.Is(err, ErrInvalidPassport) {
		t.Errorf("got %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if passport, err := site.VerifyPassport(gone, event.Passport, check); passport != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", passport, err)
	}
	ok(t, site.Close())
	if passport, err := site.VerifyPassport(watched(t), event.Passport, check); passport != nil || !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, %v", passport, err)
	}
}

func TestCancelBefore(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site := home.newSite(t)
	before := list(t, home.get(t, "/received"), "received")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := site.CreateLoginRequest(ctx)
	if !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	late, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = site.WaitForLogin(late, "lr_1", WaitOptions{})
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	equal(t, "requests", len(list(t, home.get(t, "/received"), "received")), len(before))
}

func TestCancelDuring(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site := home.newSite(t)
	// Waits that end with their contexts: cancelled, and by a deadline.
	for round := range 2 {
		longest, want := time.Hour, []error{ErrCancelled, context.Canceled}
		if round == 1 {
			longest, want = 30*time.Millisecond, []error{ErrTimeout, context.DeadlineExceeded}
		}
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		t.Cleanup(cancel)
		id := createRequest(t, site)
		errs := make(chan error)
		go func() {
			_, err := site.WaitForLogin(ctx, id, WaitOptions{})
			errs <- err
		}()
		if round == 0 {
			home.streams(t, home.siteID, 1) // the wait has begun
			cancel()
		}
		err := receive(t, errs)
		for _, target := range want {
			if !errors.Is(err, target) {
				t.Errorf("%v is not %v", err, target)
			}
		}
		noHandlesAreLeft(t) // the library has given it up, too
	}
	// A request whose answer does not come.
	stuck := startSandbox(t)
	stuck.post(t, "/faults", values{"route": "create_request", "action": "half_open"})
	other := makeSite(t, SiteOptions{SiteToken: stuck.SiteToken, BaseURL: stuck.APIBase})
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error)
	go func() {
		_, err := other.CreateLoginRequest(ctx)
		errs <- err
	}()
	eventually(t, "the request is on its way", func() bool {
		return len(list(t, stuck.get(t, "/received?route=create_request"), "received")) > 0
	})
	cancel()
	if err := receive(t, errs); !errors.Is(err, ErrCancelled) {
		t.Errorf("got %v", err)
	}
}

// TestCancelAroundCompletion cancels at any moment around that of completion: the call ends in one way or the other.
func TestCancelAroundCompletion(t *testing.T) {
	leavesNothing(t)
	agent := newHome(t).newAgent(t)
	var done, cancelled int
	for round := range 300 {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			for range round * 20 {
				runtime.Gosched()
			}
			cancel()
		}()
		profile, err := agent.Profile(ctx)
		switch {
		case err == nil && profile != nil:
			done++
		case errors.Is(err, ErrCancelled) && errors.Is(err, context.Canceled) && profile == nil:
			cancelled++
		default:
			t.Fatalf("got %v, %v", profile, err)
		}
		cancel() // after completion it does nothing
	}
	t.Logf("%d completed, %d were cancelled", done, cancelled)
	equal(t, "calls", done+cancelled, 300)
}

func TestCloseWhileCallsAreUnderWay(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	for range 20 {
		agent, site := home.newAgent(t), home.newSite(t)
		var calls sync.WaitGroup
		errs := make(chan error, 16*3)
		for range 16 {
			calls.Add(1)
			go func() {
				defer calls.Done()
				_, err := agent.Profile(watched(t))
				errs <- err
				_, err = site.CreateLoginRequest(watched(t))
				errs <- err
				errs <- site.LastError()
				_ = site.State()
				_ = site.Stats()
			}()
		}
		calls.Add(2)
		go func() { defer calls.Done(); agent.Close() }()
		go func() { defer calls.Done(); site.Close() }()
		calls.Wait()
		close(errs)
		for err := range errs {
			if err != nil && !errors.Is(err, ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	}
}

// TestAClientIsFreedByItsLastUser, once, whoever that is.
func TestAClientIsFreedByItsLastUser(t *testing.T) {
	var shut, freed int
	var handle byte
	c := &client{
		handle: unsafe.Pointer(&handle),
		close:  func(unsafe.Pointer) { shut++ },
		free:   func(unsafe.Pointer) { freed++ },
	}
	for range 2 {
		used, err := c.use()
		ok(t, err)
		equal(t, "handle", used, unsafe.Pointer(&handle))
	}
	c.unuse()
	equal(t, "whether it was the first", c.shut(), true)
	equal(t, "whether it was the first", c.shut(), false)
	equal(t, "closed", shut, 1)
	equal(t, "freed", freed, 0)
	if _, err := c.use(); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	c.unuse()
	equal(t, "freed", freed, 1)
}

func TestAClosedClientRefuses(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site, agent := home.newSite(t), home.newAgent(t)
	ctx := watched(t)
	createRequest(t, site)
	ok(t, errors.Join(site.Close(), site.Close(), agent.Close(), agent.Close()))
	equal(t, "state", site.State(), StreamClosed)
	_, create := site.CreateLoginRequest(ctx)
	_, read := site.ReadLoginRequest(ctx, "lr_x")
	_, wait := site.WaitForLogin(ctx, "lr_x", WaitOptions{})
	_, login := agent.Login(ctx, "lr_x")
	_, profile := agent.Profile(ctx)
	_, verify := site.VerifyPassport(ctx, "x", PassportCheck{AnyRequest: true})
	errs := []error{create, read, wait, login, profile, verify, site.StartEvents(), site.OnLogin(func(LoginEvent) {}), site.OnState(func(StreamStatus) {}), site.OnGap(func([]string) {})}
	for event, err := range site.Events(ctx) {
		equal(t, "event", event, LoginEvent{})
		errs = append(errs, err)
	}
	equal(t, "errors", len(errs), 11)
	for at, err := range errs {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%d: %v", at, err)
		}
	}
	equal(t, "last error", site.LastError(), nil)
	equal(t, "counters", site.Stats(), StreamStats{})
}

func TestClosingEndsAWaitForALogin(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site := home.newSite(t)
	errs := make(chan error)
	go func() {
		_, err := site.WaitForLogin(context.Background(), "lr_nobody", WaitOptions{})
		errs <- err
	}()
	eventually(t, "the stream is open", func() bool { return site.State() == StreamOpen })
	ok(t, site.Close())
	if err := receive(t, errs); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	equal(t, "connections that are remembered", site.Stats().Connections, 1)
}

// signIn lets the agent sign in to the site.
func signIn(t testing.TB, site *Site, agent *Agent) string {
	t.Helper()
	id := createRequest(t, site)
	_, err := agent.Login(watched(t), id)
	ok(t, err)
	return id
}

func TestHandlersMayUseTheClient(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site, agent := home.newSite(t), home.newAgent(t)
	type seen struct {
		passport *Passport
		status   *LoginRequestStatus
		err      error
	}
	all := make(chan seen, 1)
	ok(t, site.OnLogin(func(event LoginEvent) {
		passport, err := site.VerifyPassport(watched(t), event.Passport, PassportCheck{RequestID: event.RequestID})
		status, other := site.ReadLoginRequest(watched(t), event.RequestID)
		all <- seen{passport, status, errors.Join(err, other, site.OnState(func(StreamStatus) {}))}
	}))
	id := signIn(t, site, agent)
	one := receive(t, all)
	ok(t, one.err)
	equal(t, "request", one.passport.RequestID, id)
	equal(t, "status", one.status.Status, "DELIVERED")
}

func TestClosingInsideAHandler(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site, agent := home.newSite(t), home.newAgent(t)
	var after atomic.Int32
	closedInside := make(chan error, 1)
	ok(t, site.OnLogin(func(LoginEvent) {
		if after.Add(1) == 1 {
			closedInside <- site.Close()
		}
	}))
	home.streams(t, home.siteID, 1)
	signIn(t, site, agent)
	ok(t, receive(t, closedInside))
	equal(t, "state", site.State(), StreamClosed)
	noHandlesAreLeft(t)
	equal(t, "calls", after.Load(), 1)
}

func TestClosingWhileAHandlerRuns(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site, agent := home.newSite(t), home.newAgent(t)
	entered, release := make(chan string, 8), make(chan struct{})
	var left atomic.Int32
	ok(t, site.OnLogin(func(event LoginEvent) {
		entered <- event.RequestID
		<-release
		left.Add(1)
	}))
	home.streams(t, home.siteID, 1)
	first, second := signIn(t, site, agent), signIn(t, site, agent)
	equal(t, "the first", receive(t, entered), first)
	home.get(t, "/login-requests/"+second+"?status=DELIVERED&wait_ms=30000")
	ok(t, site.Close()) // does not wait: the handler is being held
	equal(t, "handlers that have ended", left.Load(), 0)
	close(release)
	eventually(t, "the handler ends", func() bool { return left.Load() == 1 })
	noHandlesAreLeft(t)
	equal(t, "handlers that have begun", len(entered), 0) // the second event had none any more
}

func TestAHandlerThatPanics(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	var log lockedBuffer
	home.siteOptions.Logger = slog.New(slog.NewTextHandler(&log, nil))
	site, agent := home.newSite(t), home.newAgent(t)
	first, second := make(chan string, 4), make(chan string, 4)
	ok(t, site.OnLogin(func(event LoginEvent) {
		first <- event.RequestID
		panic("what a handler said")
	}))
	ok(t, site.OnLogin(func(event LoginEvent) {
		second <- event.RequestID
		runtime.Goexit() // as t.FailNow does
	}))
	for range 3 {
		id := signIn(t, site, agent)
		equal(t, "what the one got", receive(t, first), id)
		equal(t, "what the other got", receive(t, second), id)
	}
	eventually(t, "three panics are logged", func() bool { return strings.Count(log.String(), "what a handler said") == 3 })
	for _, want := range []string{"level=ERROR", "boundary_test.go"} {
		equal(t, "whether the log has "+want, strings.Contains(log.String(), want), true)
	}
}

func TestEvents(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site, agent := home.newSite(t), home.newAgent(t)

	t.Run("come_in_order_from_the_call_on", func(t *testing.T) {
		events := site.Events(watched(t))
		home.streams(t, home.siteID, 1)
		ids := []string{signIn(t, site, agent), signIn(t, site, agent), signIn(t, site, agent)}
		var seen []string
		for event, err := range events {
			ok(t, err)
			if seen = append(seen, event.RequestID); len(seen) == 3 {
				break
			}
		}
		equal(t, "events", fmt.Sprint(seen), fmt.Sprint(ids))
		equal(t, "subscribers", len(site.logins.subscribers), 0)
	})

	t.Run("end_with_the_context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		events := site.Events(ctx)
		id := signIn(t, site, agent)
		var errs []error
		for event, err := range events {
			if err == nil {
				equal(t, "event", event.RequestID, id)
				cancel()
				continue
			}
			errs = append(errs, err)
		}
		if len(errs) != 1 || !errors.Is(errs[0], context.Canceled) || !errors.Is(errs[0], ErrCancelled) {
			t.Errorf("got %v", errs)
		}
	})

	t.Run("are_dropped_when_nobody_ranges", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		_ = site.Events(ctx)
		signIn(t, site, agent)
		cancel()
		eventually(t, "there is no subscriber", func() bool {
			site.logins.mutex.Lock()
			defer site.logins.mutex.Unlock()
			return len(site.logins.subscribers) == 0
		})
	})

	t.Run("survive_a_panic_of_the_loop", func(t *testing.T) {
		events := site.Events(watched(t))
		signIn(t, site, agent)
		func() {
			defer func() { equal(t, "panic", recover(), any("in the loop")) }()
			for range events {
				panic("in the loop")
			}
		}()
		equal(t, "subscribers", len(site.logins.subscribers), 0)
	})

	t.Run("end_with_the_site", func(t *testing.T) {
		events := site.Events(watched(t))
		ok(t, site.Close())
		var errs []error
		for _, err := range events {
			errs = append(errs, err)
		}
		if len(errs) != 1 || !errors.Is(errs[0], ErrClosed) {
			t.Errorf("got %v", errs)
		}
	})
}

// TestEventsNotHandledHoldThePlatformBack has room for one event, and keeps three back.
func TestEventsNotHandledHoldThePlatformBack(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	home.siteOptions.EventQueueLimit = 1
	site, agent := home.newSite(t), home.newAgent(t)
	entered, release := make(chan string, 8), make(chan struct{})
	once := sync.OnceFunc(func() { close(release) })
	defer once() // whatever goes wrong
	ok(t, site.OnLogin(func(event LoginEvent) {
		entered <- event.RequestID
		<-release
	}))
	quick := make(chan string, 8)
	ok(t, site.OnLogin(func(event LoginEvent) { quick <- event.RequestID }))
	home.streams(t, home.siteID, 1)
	var ids []string
	for range 4 {
		ids = append(ids, signIn(t, site, agent))
	}
	equal(t, "the first", receive(t, entered), ids[0])
	equal(t, "the quick one's", receive(t, quick), ids[0])
	// The others have no place as long as the first has one, though the platform has sent them.
	home.get(t, "/login-requests/"+ids[3]+"?status=DELIVERED&wait_ms=30000")
	createRequest(t, site) // the library has had its time
	equal(t, "events handed out", len(quick), 0)
	equal(t, "events that have a place", site.Stats().Events, 1)
	once()
	for _, id := range ids[1:] {
		equal(t, "the next", receive(t, entered), id)
		equal(t, "the quick one's", receive(t, quick), id)
	}
}

func TestStates(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	site := home.newSite(t)
	seen := make(chan StreamStatus, 32)
	ok(t, site.OnState(func(status StreamStatus) { seen <- status }))
	equal(t, "the first", receive(t, seen), StreamStatus{State: StreamIdle})
	ok(t, site.StartEvents())
	// What lasts for a moment only may be left out.
	until := func(state StreamState) error {
		t.Helper()
		for {
			if status := receive(t, seen); status.State == state {
				return status.LastError
			}
		}
	}
	equal(t, "error", until(StreamOpen), nil)
	equal(t, "name", site.State().String(), "open")
	home.post(t, "/streams/disconnect", values{"site_id": home.siteID, "abort": true})
	if err := until(StreamBackingOff); !errors.Is(err, ErrTransport) {
		t.Errorf("broken by %v", err)
	}
	home.post(t, "/sites/"+home.siteID+"/suspend", nil)
	if err := until(StreamRefused); !errors.Is(err, ErrAuthentication) {
		t.Errorf("refused with %v", err)
	}
	for number, name := range map[StreamState]string{StreamBackingOff: "backing_off", 99: "state_99", -1: "state_-1"} {
		equal(t, "name", number.String(), name)
	}
}

func TestClientsThatAreForgotten(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	var log lockedBuffer
	home.agentOptions.Logger = slog.New(slog.NewTextHandler(&log, nil))
	home.siteOptions.Logger = home.agentOptions.Logger
	func() {
		// Nothing but the garbage collector closes these; each logger is a handle.
		agent, err := NewAgent(home.agentOptions)
		ok(t, err)
		site, err := NewSite(home.siteOptions)
		ok(t, err)
		_, err = agent.Login(watched(t), createRequest(t, site))
		ok(t, err)
	}()
	eventually(t, "they are closed", func() bool {
		runtime.GC()
		return handles.Load() == 0
	})
	// A site that has a handler goes on.
	home = newHome(t)
	heard := make(chan string, 1)
	var kept weak.Pointer[Site]
	func() {
		site, err := NewSite(home.siteOptions)
		ok(t, err)
		ok(t, site.OnLogin(func(event LoginEvent) { heard <- event.RequestID }))
		kept = weak.Make(site)
	}()
	home.streams(t, home.siteID, 1)
	for range 5 {
		runtime.GC()
	}
	other, agent := home.newSite(t), home.newAgent(t)
	id := signIn(t, other, agent)
	equal(t, "what it heard", receive(t, heard), id)
	kept.Value().Close()
}

func TestAWaitKeepsAForgottenClient(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	other, agent := home.newSite(t), home.newAgent(t)
	id := createRequest(t, other)
	done := make(chan error, 1)
	go func() {
		site, err := NewSite(home.siteOptions)
		if err == nil {
			_, err = site.WaitForLogin(watched(t), id, WaitOptions{})
		}
		done <- err
	}()
	home.streams(t, home.siteID, 1)
	for range 5 {
		runtime.GC()
	}
	_, err := agent.Login(watched(t), id)
	ok(t, err)
	ok(t, receive(t, done))
	eventually(t, "it is closed then", func() bool {
		runtime.GC()
		return handles.Load() == 0
	})
}

func TestLogging(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	var log lockedBuffer
	level := new(slog.LevelVar)
	home.siteOptions.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: level}))
	site := home.newSite(t)
	createRequest(t, site)
	equal(t, "log at level info", log.String(), "")
	level.Set(slog.LevelDebug) // counts at once
	createRequest(t, site)
	eventually(t, "the request is logged", func() bool { return strings.Contains(log.String(), "/modules/agent-login/requests") })
	equal(t, "whether the token is in it", strings.Contains(log.String(), home.siteOptions.SiteToken), false)
	equal(t, "whether the level is", strings.Contains(log.String(), `"level":"DEBUG"`), true)
	for number, want := range map[int32]slog.Level{10: slog.LevelDebug, 20: slog.LevelInfo, 30: slog.LevelWarn, 40: slog.LevelError, 45: slog.LevelError, -1: slog.LevelDebug} {
		equal(t, "level", severityOf(number), want)
	}
}

// TestALoggerMayBlock has a logger that stands still: calls go on, and what was logged comes later, in order.
func TestALoggerMayBlock(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	release := make(chan struct{})
	records := make(chan string, 100)
	home.siteOptions.Logger = slog.New(blockingHandler{release, records})
	site := home.newSite(t)
	for range 3 {
		createRequest(t, site)
	}
	equal(t, "records written", len(records), 0)
	close(release)
	for range 3 {
		equal(t, "whether it is a request", strings.Contains(receive(t, records), "POST"), true)
	}
}

type blockingHandler struct {
	release <-chan struct{}
	records chan<- string
}

func (blockingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h blockingHandler) Handle(_ context.Context, record slog.Record) error {
	<-h.release
	if strings.Contains(record.Message, "POST") {
		h.records <- record.Message
	}
	return nil
}
func (h blockingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h blockingHandler) WithGroup(string) slog.Handler      { return h }

func TestALoggerThatIsTooSlow(t *testing.T) {
	var log lockedBuffer
	sink := &logSink{logger: slog.New(slog.NewTextHandler(&log, nil)), writing: true}
	for range logLimit + 5 {
		sink.put(slog.NewRecord(time.Now(), slog.LevelInfo, "one", 0))
	}
	sink.write()
	equal(t, "records", strings.Count(log.String(), "msg=one"), logLimit)
	equal(t, "whether it is said", strings.Contains(log.String(), "count=5"), true)
}

// TestSignalHandlersAreLeftAlone: neither loading the library nor using it installs a handler. One without an
// alternate stack would crash a Go program.
func TestSignalHandlersAreLeftAlone(t *testing.T) {
	leavesNothing(t)
	before := signalHandlers(t)
	home := newHome(t)
	site, agent := home.newSite(t), home.newAgent(t)
	ok(t, site.OnLogin(func(LoginEvent) {}))
	signIn(t, site, agent)
	_, err := newSesame(t).Trigger(watched(t), ApprovalRequest{Action: "a", Summary: "b"})
	ok(t, err)
	equal(t, "handlers", signalHandlers(t), before)
	for number, action := range before {
		const cancelThread, setID = 32, 33 // the C library's own
		if action.handler <= 1 || number == cancelThread || number == setID {
			continue
		}
		if name := runtime.FuncForPC(action.handler).Name(); !strings.HasPrefix(name, "runtime.") {
			t.Errorf("signal %d is handled by %q", number, name)
		}
		const onStack = 0x08000000
		equal(t, "whether it has a stack", action.flags&onStack != 0, true)
	}
}

// signalAction is how the kernel tells of a signal's handling.
type signalAction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

func signalHandlers(t testing.TB) (actions [65]signalAction) {
	t.Helper()
	for number := 1; number < len(actions); number++ {
		_, _, failure := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(number), 0,
			uintptr(unsafe.Pointer(&actions[number])), unsafe.Sizeof(actions[number].mask), 0, 0)
		if failure != 0 {
			t.Fatal(failure)
		}
	}
	return actions
}

func BenchmarkVerifyPassport(b *testing.B) {
	home := newHome(b)
	site, agent := home.newSite(b), home.newAgent(b)
	id := signIn(b, site, agent)
	event, err := site.WaitForLogin(watched(b), id, WaitOptions{})
	ok(b, err)
	for b.Loop() {
		_, err := site.VerifyPassport(context.Background(), event.Passport, PassportCheck{RequestID: id})
		ok(b, err)
	}
}

func BenchmarkProfile(b *testing.B) {
	agent := newHome(b).newAgent(b)
	for b.Loop() {
		_, err := agent.Profile(context.Background())
		ok(b, err)
	}
}
