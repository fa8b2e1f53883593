package lime

// #include "bridge.h"
import "C"

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// A StreamState is where a site's event stream stands. A later version of the library may know more of them.
type StreamState int32

const (
	// StreamIdle: the event stream was not started yet.
	StreamIdle StreamState = C.LIME_STREAM_IDLE
	// StreamConnecting: it waits for the platform's answer.
	StreamConnecting StreamState = C.LIME_STREAM_CONNECTING
	// StreamOpen: it is connected; events arrive.
	StreamOpen StreamState = C.LIME_STREAM_OPEN
	// StreamBackingOff: it broke or failed; the next attempt comes after a short wait.
	StreamBackingOff StreamState = C.LIME_STREAM_BACKING_OFF
	// StreamRefused: the platform refuses the token; the next attempt comes after a minute or more.
	StreamRefused StreamState = C.LIME_STREAM_REFUSED
	// StreamClosed: the site is closed.
	StreamClosed StreamState = C.LIME_STREAM_CLOSED
)

var stateNames = map[StreamState]string{
	StreamIdle:       "idle",
	StreamConnecting: "connecting",
	StreamOpen:       "open",
	StreamBackingOff: "backing_off",
	StreamRefused:    "refused",
	StreamClosed:     "closed",
}

// String is the state's name, such as "backing_off".
func (s StreamState) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("state_%d", int32(s))
}

// A StreamStatus is where a site's event stream stands, and what ended its last connection.
type StreamStatus struct {
	State StreamState
	// LastError is nil when no connection has ended yet.
	LastError error
}

// StreamStats count what a site's event stream has seen so far.
type StreamStats struct {
	// Connections is how many connections came about.
	Connections uint64
	// Events is how many events came.
	Events uint64
	// MalformedFrames is how many frames were not what the protocol allows, and were skipped.
	MalformedFrames uint64
}

// State is where the event stream stands.
func (s *Site) State() StreamState {
	defer runtime.KeepAlive(s)
	handle, err := s.client.use()
	if err != nil {
		return StreamClosed
	}
	defer s.client.unuse()
	return StreamState(C.lime_site_state((*C.lime_site)(handle)))
}

// LastError is what ended the event stream's last connection or attempt, or nil. Of a closed site it is what it was.
func (s *Site) LastError() error {
	_, last := s.snapshot()
	return last
}

// Stats are the event stream's counters. Of a closed site they are what they were.
func (s *Site) Stats() StreamStats {
	stats, _ := s.snapshot()
	return stats
}

func (s *Site) snapshot() (StreamStats, error) {
	defer runtime.KeepAlive(s)
	handle, err := s.client.use()
	if err != nil {
		return s.states.last()
	}
	defer s.client.unuse()
	site := (*C.lime_site)(handle)
	stats := StreamStats{
		Connections:     uint64(C.lime_site_connections(site)),
		Events:          uint64(C.lime_site_events(site)),
		MalformedFrames: uint64(C.lime_site_malformed_frames(site)),
	}
	if failure := C.lime_site_last_error(site); failure != nil {
		return stats, failed(C.lime_error_status(failure), failure)
	}
	return stats, nil
}

// StartEvents starts the event stream ahead of the first handler or wait; it does nothing when it is running.
//
// It fails with [ErrClosed].
func (s *Site) StartEvents() error {
	defer runtime.KeepAlive(s)
	handle, err := s.client.use()
	if err != nil {
		return err
	}
	defer s.client.unuse()
	var failure *C.lime_error
	if status := C.lime_site_start_events((*C.lime_site)(handle), &failure); status != C.LIME_OK {
		return failed(status, failure)
	}
	return nil
}

// OnState registers a handler for where the event stream stands. It is first called with the status as it is, then
// when it has changed, in order, on a goroutine of its own; a state that lasts for a moment only may be left out. It does
// not start the stream. Closing the site is not
// reported. What [Site.OnLogin] says of handlers goes for it.
//
// It fails with [ErrClosed].
func (s *Site) OnState(handler func(StreamStatus)) error {
	if handler == nil {
		return invalid("The handler is nil")
	}
	handle, err := s.client.use()
	if err != nil {
		return err
	}
	defer s.client.unuse()
	watcher := &worker[StreamStatus]{logger: s.states.logger, handle: handler, done: func(StreamStatus) {}}
	if err := s.states.add(s, watcher); err != nil {
		return err
	}
	var failure *C.lime_error
	status := C.lime_go_site_on_state((*C.lime_site)(handle), newHandle(watcher), &failure)
	if status != C.LIME_OK {
		return failed(status, failure)
	}
	return nil
}

//export limeGoState
func limeGoState(handle C.uintptr_t, state C.int32_t, lastError *C.lime_error) {
	status := StreamStatus{State: StreamState(state)}
	if lastError != nil {
		status.LastError = readError(C.lime_error_status(lastError), lastError)
	}
	cgo.Handle(handle).Value().(*worker[StreamStatus]).put(status)
}

// OnGap registers a handler for login requests whose events are lost: the platform says that they have ended, and
// neither the stream nor the platform tells how; a passport that there was is lost. Each is named once. Should such an
// event come all the same, it is handed on. The handler runs on a goroutine of its own and does not start the stream.
// What [Site.OnLogin] says of handlers goes for it.
//
// It fails with [ErrClosed].
func (s *Site) OnGap(handler func(requestIDs []string)) error {
	if handler == nil {
		return invalid("The handler is nil")
	}
	handle, err := s.client.use()
	if err != nil {
		return err
	}
	defer s.client.unuse()
	watcher := &worker[[]string]{logger: s.states.logger, handle: handler, done: func([]string) {}}
	if err := s.states.add(s, watcher); err != nil {
		return err
	}
	var failure *C.lime_error
	status := C.lime_go_site_on_gap((*C.lime_site)(handle), newHandle(watcher), &failure)
	if status != C.LIME_OK {
		return failed(status, failure)
	}
	return nil
}

//export limeGoGap
func limeGoGap(handle C.uintptr_t, requestIDs **C.char, count C.size_t) {
	var lost []string
	for _, id := range unsafe.Slice(requestIDs, count) {
		lost = append(lost, C.GoString(id))
	}
	cgo.Handle(handle).Value().(*worker[[]string]).put(lost)
}

// states are the handlers of a site's states and gaps, and what the counters were when it was closed.
type states struct {
	logger *slog.Logger

	mutex    sync.Mutex
	watchers []interface{ close() }
	closed   bool
	stats    StreamStats
	failure  error
	// site is held while there are handlers: it is not forgotten then.
	site *Site
}

func (s *states) add(site *Site, watcher interface{ close() }) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.closed {
		return closed()
	}
	s.watchers = append(s.watchers, watcher)
	s.site = site
	return nil
}

// keep writes the counters down, which are gone with the handle.
func (s *states) keep(site *Site) {
	stats, failure := site.snapshot()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.stats, s.failure = stats, failure
}

func (s *states) last() (StreamStats, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.stats, s.failure
}

func (s *states) close() {
	s.mutex.Lock()
	watchers := s.watchers
	s.closed, s.watchers, s.site = true, nil, nil
	s.mutex.Unlock()
	for _, watcher := range watchers {
		watcher.close()
	}
}
