package lime

// #include "bridge.h"
import "C"

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime/cgo"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"unsafe"
)

// carrier carries the library's requests by a RoundTripper, each on a goroutine.
type carrier struct {
	tripper http.RoundTripper
	logger  *slog.Logger

	// starting is held for reading while a call starts, until its number is written down: whoever holds it for
	// writing finds the call of every request that there is.
	starting sync.RWMutex

	mutex sync.Mutex
	// calls are those that are under way, by their numbers.
	calls map[uint64]*carriedCall
	// requests are those that are under way, by theirs.
	requests map[uint64]*carriedRequest
}

func newCarrier(tripper http.RoundTripper, logger *slog.Logger) *carrier {
	return &carrier{
		tripper:  tripper,
		logger:   logger,
		calls:    map[uint64]*carriedCall{},
		requests: map[uint64]*carriedRequest{},
	}
}

func (c *carrier) transport() (*C.lime_transport, error) {
	var transport *C.lime_transport
	var failure *C.lime_error
	if status := C.lime_go_transport_new(newHandle(c), &transport, &failure); status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	return transport, nil
}

// A carriedCall is a call of the program's that requests are sent for.
type carriedCall struct {
	// values has what the program's context carries, such as a trace, but not its end: a request may be for several
	// calls, and the library knows best when it is not wanted any more.
	values context.Context

	mutex sync.Mutex
	last  error
}

// explain adds what the RoundTripper said to an error that stands for it.
func (c *carriedCall) explain(e *Error) {
	switch e.Kind {
	case KindTransport, KindTransportTimeout, KindOutcomeUnknown:
	default:
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.last != nil {
		e.causes = append(e.causes, c.last)
	}
}

// begin starts a call and notes the context that its requests get.
func (c *carrier) begin(ctx context.Context, start func() uint64) *carriedCall {
	c.starting.RLock()
	defer c.starting.RUnlock()
	operation := start()
	call := &carriedCall{values: context.WithoutCancel(ctx)}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.calls[operation] = call
	return call
}

func (c *carrier) end(operation uint64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	delete(c.calls, operation)
}

// call is the one that a request is sent for, or nil.
func (c *carrier) call(operation uint64) *carriedCall {
	if operation == 0 {
		return nil
	}
	c.starting.Lock()
	defer c.starting.Unlock()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.calls[operation]
}

// A carriedRequest is what the library's notices act on.
type carriedRequest struct {
	cancel context.CancelFunc
	room   chan struct{} // has a token when there is room again
}

//export limeGoSend
func limeGoSend(handle C.uintptr_t, request *C.lime_http_request) {
	c := cgo.Handle(handle).Value().(*carrier)
	// It is known before this returns, so that no notice misses it.
	ctx, cancel := context.WithCancel(context.Background())
	carried := &carriedRequest{cancel: cancel, room: make(chan struct{}, 1)}
	id := uint64(C.lime_http_request_id(request))
	c.mutex.Lock()
	c.requests[id] = carried
	c.mutex.Unlock()
	go func() {
		// However it ends, a RoundTripper that ends its goroutine included.
		defer func() {
			cancel()
			c.mutex.Lock()
			delete(c.requests, id)
			c.mutex.Unlock()
			within(func() bool {
				C.lime_http_request_free(request)
				return true
			})
		}()
		c.carry(ctx, carried, request)
	}()
}

//export limeGoAbort
func limeGoAbort(handle C.uintptr_t, id C.uint64_t) {
	if carried := cgo.Handle(handle).Value().(*carrier).request(uint64(id)); carried != nil {
		carried.cancel()
	}
}

//export limeGoResume
func limeGoResume(handle C.uintptr_t, id C.uint64_t) {
	if carried := cgo.Handle(handle).Value().(*carrier).request(uint64(id)); carried != nil {
		select {
		case carried.room <- struct{}{}:
		default:
		}
	}
}

func (c *carrier) request(id uint64) *carriedRequest {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.requests[id]
}

// carry carries one request out, from beginning to end.
func (c *carrier) carry(ctx context.Context, carried *carriedRequest, request *C.lime_http_request) {
	call := c.call(uint64(C.lime_http_request_operation(request)))
	if call != nil {
		ctx = merged{ctx, call.values}
	}
	var wrote atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { wrote.Store(true) },
		WroteHeaders:     func() { wrote.Store(true) },
	})
	err := c.trip(ctx, carried, request)
	if err == nil {
		return
	}
	if call != nil {
		call.mutex.Lock()
		call.last = err
		call.mutex.Unlock()
	}
	reach := reachOf(err, wrote.Load())
	fail := func(said string) bool {
		message, err := text("message", said)
		return err == nil && within(func() bool { return C.lime_http_request_fail(request, reach, message) == C.LIME_OK })
	}
	// An error that is not text the library could take says its type.
	if !fail(err.Error()) {
		fail(fmt.Sprintf("%T", err))
	}
}

// merged ends with one context and has the values of another.
type merged struct {
	context.Context
	values context.Context
}

func (m merged) Value(key any) any {
	// What the context package asks of itself, such as how it ends, comes from the one that ends.
	if value := m.Context.Value(key); value != nil {
		return value
	}
	return m.values.Value(key)
}

// faulty is a RoundTripper that does not do what one has to: another try would not mend it.
type faulty struct{ what string }

func (f faulty) Error() string { return "The RoundTripper " + f.what }

// trip makes the round trip and hands the answer on as it comes. What it returns has not been reported yet.
func (c *carrier) trip(ctx context.Context, carried *carriedRequest, request *C.lime_http_request) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			logger := c.logger
			if logger == nil {
				logger = slog.Default()
			}
			logger.Error("the http.RoundTripper of lime panicked", "panic", panicked, "stack", string(debug.Stack()))
			err = faulty{"panicked"}
		}
	}()
	var outgoing *http.Request
	err = within(func() error {
		outgoing, err = readRequest(ctx, request)
		return err
	})
	if err != nil {
		return faulty{"cannot be given this request: " + err.Error()}
	}
	response, err := c.tripper.RoundTrip(outgoing)
	if err != nil {
		return err
	}
	if response == nil || response.Body == nil {
		return faulty{"gave neither an answer nor an error"}
	}
	defer response.Body.Close()
	packed, count := pack(response.Header)
	status := within(func() C.int32_t {
		return C.lime_go_http_request_respond(request, C.int32_t(response.StatusCode),
			(*C.char)(unsafe.Pointer(unsafe.SliceData(packed))), C.size_t(count))
	})
	switch {
	case status == C.LIME_ERROR_CANCELLED:
		return nil
	case status != C.LIME_OK:
		return faulty{fmt.Sprintf("gave an answer with status %d", response.StatusCode)}
	}
	buffer := make([]byte, 32*1024)
	for {
		length, err := response.Body.Read(buffer)
		if length > 0 {
			pointer, size := span(buffer[:length])
			written := within(func() C.int32_t { return C.lime_http_request_write(request, pointer, size) })
			if written != C.LIME_OK {
				return nil // it is not wanted any more
			}
			for !within(func() bool { return C.lime_http_request_wants_more(request) == 1 }) {
				select {
				case <-carried.room:
				case <-ctx.Done():
					return nil
				}
			}
		}
		switch {
		case err == io.EOF:
			within(func() C.int32_t { return C.lime_http_request_end(request) })
			return nil
		case err != nil:
			return err
		}
	}
}

// readRequest makes an http.Request of the library's.
func readRequest(ctx context.Context, request *C.lime_http_request) (*http.Request, error) {
	var length C.size_t
	var body io.Reader
	if pointer := C.lime_http_request_body(request, &length); length > 0 {
		body = bytes.NewReader(C.GoBytes(pointer, C.int(length)))
	}
	outgoing, err := http.NewRequestWithContext(ctx, C.GoString(C.lime_http_request_method(request)),
		C.GoString(C.lime_http_request_url(request)), body)
	if err != nil {
		return nil, err
	}
	for at := range C.lime_http_request_header_count(request) {
		outgoing.Header.Add(C.GoString(C.lime_http_request_header_name(request, at)),
			C.GoString(C.lime_http_request_header_value(request, at)))
	}
	return outgoing, nil
}

// reachOf says how far a request got that failed like this. In doubt it may have arrived.
func reachOf(err error, wrote bool) C.int32_t {
	var fault faulty
	var network *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &fault):
		return C.LIME_REACH_HOST_FAULT
	case wrote:
	case errors.As(err, &network) && (network.Op == "dial" || network.Op == "proxyconnect"),
		errors.As(err, &name), errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &authority):
		return C.LIME_REACH_NOT_SENT
	}
	if errors.As(err, &timeout) && timeout.Timeout() {
		return C.LIME_REACH_TIMED_OUT
	}
	return C.LIME_REACH_MAYBE_SENT
}
