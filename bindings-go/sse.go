package lime

// #include "bridge.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// An SSEParser parses server-sent events as the WHATWG standard has them. It has no input or output of its own: any
// cut of the same bytes into chunks gives the same events. One goroutine at a time may use it. A [Site] has its own;
// this one is for programs that bring their own connection.
type SSEParser struct {
	handle *C.lime_sse_parser
}

// An SSEEvent is one event of a stream.
type SSEEvent struct {
	// Event is its name, "message" when the stream does not say.
	Event string
	// Data is its data.
	Data string
	// ID is the last event id of the stream so far.
	ID string
}

// NewSSEParser makes a parser at the start of a stream. It needs no closing.
func NewSSEParser() *SSEParser {
	parser := &SSEParser{handle: C.lime_sse_parser_new()}
	runtime.AddCleanup(parser, func(handle unsafe.Pointer) {
		C.lime_sse_parser_free((*C.lime_sse_parser)(handle))
	}, unsafe.Pointer(parser.handle))
	return parser
}

// Feed takes in a chunk of the stream and gives the events that it completes.
//
// It fails with [ErrBadResponse] when a line or an event is larger than 1 MiB; events before it are given, and the
// stream cannot be read on.
func (p *SSEParser) Feed(chunk []byte) ([]SSEEvent, error) {
	defer runtime.KeepAlive(p)
	var events []SSEEvent
	handle := newHandle(&events)
	defer limeGoDrop(handle)
	var failure *C.lime_error
	pointer, length := span(chunk)
	if status := C.lime_go_sse_parser_feed(p.handle, pointer, length, handle, &failure); status != C.LIME_OK {
		return events, failed(status, failure)
	}
	return events, nil
}

//export limeGoSSEEvent
func limeGoSSEEvent(handle C.uintptr_t, event, data *C.char, length C.size_t, id *C.char) {
	events := cgo.Handle(handle).Value().(*[]SSEEvent)
	*events = append(*events, SSEEvent{
		Event: C.GoString(event),
		Data:  string(unsafe.Slice((*byte)(unsafe.Pointer(data)), int(length))),
		ID:    C.GoString(id),
	})
}

// LastEventID is the id to continue the stream from (Last-Event-ID); "" when there is none.
func (p *SSEParser) LastEventID() string {
	defer runtime.KeepAlive(p)
	return C.GoString(C.lime_sse_parser_last_event_id(p.handle))
}

// RetryMillis is the last "retry:" of the stream in milliseconds, and whether there was one.
func (p *SSEParser) RetryMillis() (int64, bool) {
	defer runtime.KeepAlive(p)
	retry := int64(C.lime_sse_parser_retry_ms(p.handle))
	return max(retry, 0), retry >= 0
}
