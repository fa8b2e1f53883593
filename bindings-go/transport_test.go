package lime

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const created = `{"ok":true,"data":{"login_request_id":"lr_1","status":"PENDING","expires_at":"2030-01-01T00:00:00Z"}}`

// carriedSite is a site whose requests a function carries.
func carriedSite(t testing.TB, carry tripper, change ...func(*SiteOptions)) *Site {
	t.Helper()
	options := SiteOptions{SiteToken: "st_of_the_host", BaseURL: "http://platform.test/api/v1", MaxRetries: -1, Transport: carry}
	for _, each := range change {
		each(&options)
	}
	return makeSite(t, options)
}

type contextKey struct{}

func TestARoundTripperCarriesEverything(t *testing.T) {
	leavesNothing(t)
	var seen *http.Request
	var body string
	site := carriedSite(t, func(request *http.Request) (*http.Response, error) {
		seen = request
		if request.Body != nil {
			read, err := io.ReadAll(request.Body)
			ok(t, err)
			body = string(read)
		}
		return answer(201, created), nil
	})
	ctx := context.WithValue(watched(t), contextKey{}, "trace")
	request, err := site.CreateLoginRequest(ctx)
	ok(t, err)
	equal(t, "request", request.RequestID, "lr_1")
	equal(t, "method", seen.Method, "POST")
	equal(t, "URL", seen.URL.String(), "http://platform.test/api/v1/modules/agent-login/requests")
	equal(t, "token", seen.Header.Get("X-Site-Token"), "st_of_the_host")
	equal(t, "length", seen.ContentLength, int64(len(body)))
	// The context's values are there, its end is the library's.
	equal(t, "value", seen.Context().Value(contextKey{}), any("trace"))
}

// TestAWholeLoginThroughARoundTripper carries a site's and an agent's requests by Go's own client.
func TestAWholeLoginThroughARoundTripper(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	var mutex sync.Mutex
	carried := map[string]int{}
	carry := tripper(func(request *http.Request) (*http.Response, error) {
		mutex.Lock()
		carried[request.URL.Path[strings.LastIndex(request.URL.Path, "/")+1:]]++
		mutex.Unlock()
		return transport.RoundTrip(request)
	})
	home.siteOptions.Transport, home.agentOptions.Transport = carry, carry
	site, agent := home.newSite(t), home.newAgent(t)
	events := site.Events(watched(t))
	home.streams(t, home.siteID, 1)
	id := signIn(t, site, agent)
	for event, err := range events {
		ok(t, err)
		equal(t, "event", event.RequestID, id)
		passport, err := site.VerifyPassport(watched(t), event.Passport, PassportCheck{RequestID: id})
		ok(t, err)
		profile, err := agent.Profile(watched(t))
		ok(t, err)
		equal(t, "agent", profile.AgentID, passport.AgentID)
		break
	}
	mutex.Lock()
	defer mutex.Unlock()
	for _, name := range []string{"requests", "events", id, "approve", "jwks.json", "profile"} {
		equal(t, "how often "+name+" was carried", carried[name], 1)
	}
	ok(t, site.Close())
	home.streams(t, home.siteID, 0) // the stream's request has ended with the site
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	leavesNothing(t)
	var asked atomic.Int32
	site := carriedSite(t, func(*http.Request) (*http.Response, error) {
		asked.Add(1)
		redirect := answer(307, "")
		redirect.Header.Set("Location", "http://elsewhere.test/")
		return redirect, nil
	})
	if _, err := site.CreateLoginRequest(watched(t)); !errors.Is(err, ErrBadResponse) {
		t.Errorf("got %v", err)
	}
	equal(t, "requests", asked.Load(), 1)
}

// TestHowFarARequestGot: what certainly did not leave is tried again or harmless; what may have arrived is not.
func TestHowFarARequestGot(t *testing.T) {
	leavesNothing(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	nobody := "http://" + listener.Addr().String()
	ok(t, listener.Close())
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer silent.Close()
	defer silent.CloseClientConnections()
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			connection.Close()
		}
	}))
	defer cut.Close()
	unknown := errors.New("the cable is cut")

	for name, test := range map[string]struct {
		url   string
		carry http.RoundTripper
		want  error
		cause func(error) bool
	}{
		"nobody listens":         {nobody, &http.Transport{}, ErrTransport, as[*net.OpError]},
		"the proxy is away":      {plain.URL, &http.Transport{Proxy: proxy(t, nobody)}, ErrTransport, as[*net.OpError]},
		"unknown certificate":    {secure.URL, &http.Transport{}, ErrTransport, as[*tls.CertificateVerificationError]},
		"no TLS there":           {"https" + strings.TrimPrefix(plain.URL, "http"), &http.Transport{}, ErrTransport, as[error]},
		"unknown host":           {"http://x.test", failingTripper(&net.DNSError{Err: "no such host", Name: "x.test", IsNotFound: true}), ErrTransport, as[*net.DNSError]},
		"cut after it was sent":  {cut.URL, &http.Transport{}, ErrOutcomeUnknown, as[error]},
		"no answer in time":      {silent.URL, &http.Transport{ResponseHeaderTimeout: 20 * time.Millisecond}, ErrOutcomeUnknown, timedOut},
		"whatever else":          {plain.URL, failingTripper(unknown), ErrOutcomeUnknown, func(err error) bool { return errors.Is(err, unknown) }},
		"a retry of its own":     {plain.URL, retrying, ErrOutcomeUnknown, as[*net.OpError]},
		"a deadline of its own":  {plain.URL, failingTripper(context.DeadlineExceeded), ErrOutcomeUnknown, timedOut},
		"an error without UTF-8": {plain.URL, failingTripper(errors.New("\xff\x00")), ErrOutcomeUnknown, as[error]},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			sesame := makeSesame(t, SesameOptions{APIKey: "sk_x", BaseURL: test.url, MaxRetries: -1, Transport: test.carry})
			_, err := sesame.Trigger(watched(t), ApprovalRequest{Action: "a", Summary: "b"})
			if name == "no TLS there" { // the handshake was answered by something else
				if !errors.Is(err, ErrTransport) && !errors.Is(err, ErrOutcomeUnknown) {
					t.Errorf("got %v", err)
				}
				return
			}
			if !errors.Is(err, test.want) || !test.cause(err) {
				t.Errorf("got %v (%T)", err, errors.Unwrap(err))
			}
			if transport, has := test.carry.(*http.Transport); has {
				transport.CloseIdleConnections()
			}
		})
	}
	// In an ordinary read a timeout has a kind of its own.
	sesame := makeSesame(t, SesameOptions{APIKey: "sk_x", BaseURL: plain.URL, MaxRetries: -1, Transport: failingTripper(context.DeadlineExceeded)})
	if _, err := sesame.Get(watched(t), "ap_1"); !errors.Is(err, ErrTransportTimeout) {
		t.Errorf("got %v", err)
	}
}

// retrying is one that has sent the request, and failed to connect when it did so again.
var retrying tripper = func(request *http.Request) (*http.Response, error) {
	httptrace.ContextClientTrace(request.Context()).WroteHeaders()
	return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
}

func as[T error](err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, cause := range e.Unwrap() {
		var target T
		if errors.As(cause, &target) {
			return true
		}
	}
	return false
}

func timedOut(err error) bool {
	var timeout interface {
		error
		Timeout() bool
	}
	return as[error](err) && errors.As(err.(*Error).Unwrap()[0], &timeout) && timeout.Timeout()
}

func failingTripper(err error) tripper {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

func proxy(t testing.TB, address string) func(*http.Request) (*url.URL, error) {
	t.Helper()
	parsed, err := url.Parse(address)
	ok(t, err)
	return http.ProxyURL(parsed)
}

// TestARoundTripperThatIsBroken is not tried again, and takes nothing down with it.
func TestARoundTripperThatIsBroken(t *testing.T) {
	leavesNothing(t)
	for name, carry := range map[string]tripper{
		"panics":    func(*http.Request) (*http.Response, error) { panic("on purpose") },
		"nothing":   func(*http.Request) (*http.Response, error) { return nil, nil },
		"no body":   func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil },
		"no status": func(*http.Request) (*http.Response, error) { return answer(7, created), nil },
	} {
		var asked atomic.Int32
		var log lockedBuffer
		site := carriedSite(t, func(request *http.Request) (*http.Response, error) {
			asked.Add(1)
			return carry(request)
		}, func(o *SiteOptions) { o.MaxRetries, o.Logger = 3, slog.New(slog.NewTextHandler(&log, nil)) })
		_, err := site.CreateLoginRequest(watched(t))
		if err == nil || !strings.Contains(err.Error(), "RoundTripper") {
			t.Errorf("%s: %v", name, err)
		}
		equal(t, name+": requests", asked.Load(), 1)
		if name == "panics" {
			equal(t, "whether the log says where", strings.Contains(log.String(), "transport_test.go"), true)
		}
	}
}

// TestARoundTripperThatEndsItsGoroutine, as t.FailNow does, leaves nothing behind.
func TestARoundTripperThatEndsItsGoroutine(t *testing.T) {
	leavesNothing(t)
	site := carriedSite(t, func(*http.Request) (*http.Response, error) {
		runtime.Goexit()
		return nil, nil
	})
	if _, err := site.CreateLoginRequest(watched(t)); !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrTransport) {
		t.Errorf("got %v", err)
	}
}

// TestGivingUpEndsTheRequest: by the caller's context, by the library's timeout, by closing the site.
func TestGivingUpEndsTheRequest(t *testing.T) {
	leavesNothing(t)
	begun, ended := make(chan *http.Request, 4), make(chan error, 4)
	hang := tripper(func(request *http.Request) (*http.Response, error) {
		begun <- request
		<-request.Context().Done()
		ended <- request.Context().Err()
		return nil, request.Context().Err()
	})
	site := carriedSite(t, hang)
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, 1)
	go func() {
		_, err := site.CreateLoginRequest(ctx)
		errs <- err
	}()
	receive(t, begun)
	cancel()
	if err := receive(t, errs); !errors.Is(err, ErrCancelled) {
		t.Errorf("got %v", err)
	}
	equal(t, "the request's context", receive(t, ended), context.Canceled)

	short := carriedSite(t, hang, func(o *SiteOptions) { o.Timeout = 20 * time.Millisecond })
	if _, err := short.ReadLoginRequest(watched(t), "lr_1"); !errors.Is(err, ErrTransportTimeout) {
		t.Errorf("got %v", err)
	}
	equal(t, "the request's context", receive(t, ended), context.Canceled)
	receive(t, begun)

	ok(t, site.StartEvents())
	stream := receive(t, begun)
	equal(t, "path", stream.URL.Path, "/api/v1/modules/agent-login/events")
	equal(t, "values of nobody's", stream.Context().Value(contextKey{}), nil)
	ok(t, site.Close())
	equal(t, "the stream's context", receive(t, ended), context.Canceled)
}

// endless is an event stream that never ends.
type endless struct {
	written atomic.Int64
	closed  chan struct{}
	frame   func(int64) string
	rest    string
	count   int64
}

func (e *endless) Read(buffer []byte) (int, error) {
	select {
	case <-e.closed:
		return 0, io.ErrUnexpectedEOF
	default:
	}
	if e.rest == "" {
		e.rest = e.frame(e.count)
		e.count++
	}
	length := copy(buffer, e.rest)
	e.rest = e.rest[length:]
	e.written.Add(int64(length))
	return length, nil
}

func (e *endless) Close() error {
	close(e.closed)
	return nil
}

// TestABodyIsHeldBack: what the library does not read any further the RoundTripper's body is not asked for.
func TestABodyIsHeldBack(t *testing.T) {
	leavesNothing(t)
	padding := strings.Repeat("x", 1000)
	stream := &endless{closed: make(chan struct{}), frame: func(count int64) string {
		return fmt.Sprintf(": %s\ndata: {\"type\":\"expired\",\"login_request_id\":\"lr_%d\"}\n\n", padding, count)
	}}
	site := carriedSite(t, func(request *http.Request) (*http.Response, error) {
		response := answer(200, `{"ok":true,"data":{"login_request_id":"lr_1","status":"PENDING"}}`)
		if !strings.HasSuffix(request.URL.Path, "/events") {
			return response, nil
		}
		response.Header.Set("Content-Type", "text/event-stream")
		response.Body = stream
		return response, nil
	}, func(o *SiteOptions) { o.EventQueueLimit = 4 })
	handled, release := make(chan string), make(chan struct{})
	ok(t, site.OnLogin(func(event LoginEvent) {
		<-release
		select {
		case handled <- event.RequestID:
		case <-stream.closed:
		}
	}))
	// It comes to a standstill: the library has time for other things, and meanwhile nothing is read.
	var before, rounds int64 = -1, 0
	eventually(t, "the body is not read any further", func() bool {
		if _, err := site.ReadLoginRequest(watched(t), "lr_1"); err != nil {
			t.Fatal(err)
		}
		now := stream.written.Load()
		if rounds++; now != before || now == 0 {
			before, rounds = now, 0
		}
		return rounds == 20
	})
	if before > 1<<20 {
		t.Errorf("%d bytes were taken", before)
	}
	close(release)
	for each := range 2000 { // more than there was room for: it goes on
		equal(t, "event", receive(t, handled), fmt.Sprintf("lr_%d", each))
	}
	ok(t, site.Close())
	select {
	case <-stream.closed: // the body was closed
	case <-watched(t).Done():
		t.Error("the body is still open")
	}
}

func TestAContextOfACallThatEndedEarly(t *testing.T) {
	leavesNothing(t)
	// A retry of a call whose context is at its end must not wait for it to be known again.
	carrier := newCarrier(nil, nil)
	if carrier.call(0) != nil || carrier.call(77) != nil {
		t.Error("there is a call")
	}
}

func TestRequestsThatShareATransport(t *testing.T) {
	leavesNothing(t)
	home := newHome(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	home.siteOptions.Transport, home.agentOptions.Transport = transport, transport
	site, agent := home.newSite(t), home.newAgent(t)
	errs := make(chan error, 40)
	for range cap(errs) {
		go func() {
			request, err := site.CreateLoginRequest(watched(t))
			if err == nil {
				_, err = agent.Login(watched(t), request.RequestID)
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		ok(t, receive(t, errs))
	}
	equal(t, "calls that are remembered", len(site.client.carrier.calls)+len(agent.client.carrier.calls), 0)
}
