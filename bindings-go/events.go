package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"runtime/cgo"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// A LoginEvent is how a login request ended.
type LoginEvent struct {
	// RequestID is the login request.
	RequestID string
	// Passport is the agent's passport, not verified yet: pass it to [Site.VerifyPassport]. It is a secret. It is
	// empty when nobody signed in before the request expired.
	Passport string
}

// Expired reports whether nobody signed in in time.
func (e LoginEvent) Expired() bool { return e.Passport == "" }

// Format shows the event without the passport.
func (e LoginEvent) Format(state fmt.State, verb rune) { format(state, verb, e.LogValue()) }

// LogValue shows the event without the passport.
func (e LoginEvent) LogValue() slog.Value {
	return shown("Passport", e.Passport, slog.String("RequestID", e.RequestID))
}

func readLoginEvent(event *C.lime_login_event) LoginEvent {
	return LoginEvent{
		RequestID: C.GoString(C.lime_login_event_request_id(event)),
		Passport:  C.GoString(C.lime_login_event_passport(event)),
	}
}

// OnLogin registers a handler for the end of every login request of this site, and starts the event stream.
//
// Handlers run on goroutines: each on one of its own, which gets one event after the other, in order. An event keeps
// its place in the queue ([SiteOptions.EventQueueLimit]) until every handler is done with it, so that slow handlers
// hold the platform back and nothing is dropped. Handlers may use the site, and close it. They stay registered until
// the site is closed, and the site lives on until then.
//
// A handler that panics is done with that event: the panic is logged with its stack, to [SiteOptions.Logger] or else
// to [slog.Default], and the handler gets the next event. Other handlers do not notice.
//
// It fails with [ErrClosed].
func (s *Site) OnLogin(handler func(LoginEvent)) error {
	if handler == nil {
		return invalid("The handler is nil")
	}
	subscriber := &worker[*login]{
		logger: s.logins.logger,
		handle: func(l *login) { handler(l.event) },
		done:   (*login).done,
	}
	if _, err := s.logins.subscribe(s, subscriber); err != nil {
		return err
	}
	return nil
}

// Events gives the ends of this site's login requests as they come, from this call on, and starts the event stream:
//
//	for event, err := range site.Events(ctx) {
//		if err != nil {
//			return err // the context's, or lime.ErrClosed
//		}
//		...
//	}
//
// An event keeps its place in the queue ([SiteOptions.EventQueueLimit]) until the loop asks for the next one. The last
// pair has an error: the context has ended, or the site is closed. Range over it once, and let the context end when
// you do not: until then events are kept for you, and when the queue is full of them the stream stands still.
func (s *Site) Events(ctx context.Context) iter.Seq2[LoginEvent, error] {
	box := &mailbox{ready: make(chan struct{}, 1)}
	unsubscribe, err := s.logins.subscribe(s, box)
	stop := func() bool { return true }
	if err == nil {
		stop = context.AfterFunc(ctx, unsubscribe)
	}
	return func(yield func(LoginEvent, error) bool) {
		if err != nil {
			yield(LoginEvent{}, err)
			return
		}
		defer stop()
		defer unsubscribe()
		for {
			l, open := box.take()
			if l == nil && open {
				select {
				case <-box.ready:
					continue
				case <-ctx.Done():
				}
			}
			switch {
			case ctx.Err() != nil:
				if l != nil {
					l.done()
				}
				yield(LoginEvent{}, interrupted(ctx))
				return
			case l == nil:
				yield(LoginEvent{}, closed())
				return
			}
			if !l.yield(yield) {
				return
			}
		}
	}
}

// login is an event that several subscribers have: the last one that is done with it frees its place.
type login struct {
	event LoginEvent
	free  func()
	left  atomic.Int32
}

func (l *login) done() {
	if l.left.Add(-1) == 0 {
		l.free()
	}
}

// yield is done with the event also when the loop's body panics.
func (l *login) yield(yield func(LoginEvent, error) bool) bool {
	defer l.done()
	return yield(l.event, nil)
}

// A subscriber takes events in at once and handles them elsewhere.
type subscriber interface {
	put(*login)
	close()
}

// logins hands the events of a site out. It has one handler with the library, from the first subscriber on.
type logins struct {
	logger *slog.Logger

	mutex       sync.Mutex
	subscribers []subscriber
	registered  bool
	closed      bool
	// site is held while there are subscribers: it is not forgotten then.
	site *Site
}

func (l *logins) subscribe(site *Site, s subscriber) (unsubscribe func(), err error) {
	handle, err := site.client.use()
	if err != nil {
		return nil, err
	}
	defer site.client.unuse()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.closed {
		return nil, closed()
	}
	if !l.registered {
		// The library's thread may wait for the mutex meanwhile; this call does not wait for that thread.
		var failure *C.lime_error
		status := C.lime_go_site_on_login_event((*C.lime_site)(handle), newHandle(l), &failure)
		if status != C.LIME_OK {
			return nil, failed(status, failure)
		}
		l.registered = true
	}
	l.subscribers = append(l.subscribers, s)
	l.site = site
	return func() { l.unsubscribe(s) }, nil
}

func (l *logins) unsubscribe(s subscriber) {
	l.mutex.Lock()
	kept := make([]subscriber, 0, len(l.subscribers))
	for _, other := range l.subscribers {
		if other != s {
			kept = append(kept, other)
		}
	}
	l.subscribers = kept
	if len(kept) == 0 {
		l.site = nil
	}
	l.mutex.Unlock()
	s.close()
}

// publish gives an event to all who are subscribed now; with nobody there it is freed.
func (l *logins) publish(event LoginEvent, free func()) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	shared := &login{event: event, free: free}
	shared.left.Store(int32(len(l.subscribers)) + 1)
	for _, subscriber := range l.subscribers {
		subscriber.put(shared)
	}
	shared.done()
}

func (l *logins) close() {
	l.mutex.Lock()
	subscribers := l.subscribers
	l.closed, l.subscribers, l.site = true, nil, nil
	l.mutex.Unlock()
	for _, subscriber := range subscribers {
		subscriber.close()
	}
}

//export limeGoLoginEvent
func limeGoLoginEvent(handle C.uintptr_t, event *C.lime_login_event) {
	cgo.Handle(handle).Value().(*logins).publish(readLoginEvent(event), func() { C.lime_login_event_free(event) })
}

// mailbox keeps events until somebody takes them out.
type mailbox struct {
	ready chan struct{} // has a token when there is something to look at

	mutex  sync.Mutex
	logins []*login
	closed bool
}

func (m *mailbox) put(l *login) {
	m.mutex.Lock()
	if m.closed {
		m.mutex.Unlock()
		l.done()
		return
	}
	m.logins = append(m.logins, l)
	m.mutex.Unlock()
	m.wake()
}

func (m *mailbox) wake() {
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// take gives the next event, or nil, and whether there may be more.
func (m *mailbox) take() (l *login, open bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if len(m.logins) == 0 {
		return nil, !m.closed
	}
	l = m.logins[0]
	m.logins = m.logins[1:]
	return l, true
}

func (m *mailbox) close() {
	m.mutex.Lock()
	left := m.logins
	m.logins, m.closed = nil, true
	m.mutex.Unlock()
	m.wake()
	for _, l := range left {
		l.done()
	}
}

// worker calls a handler with one item after the other, on a goroutine that is there while there are items.
type worker[T any] struct {
	logger *slog.Logger
	handle func(T)
	done   func(T)

	mutex   sync.Mutex
	items   []T
	working bool
	closed  bool
}

func (w *worker[T]) put(item T) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.closed {
		w.done(item)
		return
	}
	w.items = append(w.items, item)
	if !w.working {
		w.working = true
		go w.work()
	}
}

// close lets no handler begin any more.
func (w *worker[T]) close() {
	w.mutex.Lock()
	left := w.items
	w.items, w.closed = nil, true
	w.mutex.Unlock()
	for _, item := range left {
		w.done(item)
	}
}

func (w *worker[T]) work() {
	for {
		w.mutex.Lock()
		if len(w.items) == 0 {
			w.working = false
			w.mutex.Unlock()
			return
		}
		item := w.items[0]
		w.items = w.items[1:]
		w.mutex.Unlock()
		w.call(item)
	}
}

// call runs the handler. One that panics is logged; one that ends its goroutine (runtime.Goexit, as t.FailNow does)
// leaves the rest to another goroutine.
func (w *worker[T]) call(item T) {
	returned := false
	defer func() {
		w.done(item)
		if returned {
			return
		}
		if panicked := recover(); panicked != nil {
			logger := w.logger
			if logger == nil {
				logger = slog.Default()
			}
			logger.Error("a handler of lime panicked", "panic", panicked, "stack", string(debug.Stack()))
			return
		}
		go w.work()
	}()
	w.handle(item)
	returned = true
}
