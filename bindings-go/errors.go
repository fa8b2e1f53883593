package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// An Error says why a call failed. Every error that this package returns is an *Error. It never contains a
// token, a passport, a challenge or a nonce.
type Error struct {
	// Kind is what programs look at; [errors.Is] with a sentinel compares it.
	Kind Kind
	// Code is the platform's own code, such as "SITE_TOKEN_INVALID"; of [ErrApprovalDenied] "denied" or "expired", or why
	// the approval does not count, "already_used" or "args_changed"; of [ErrWebhook] the reason, a Refusal constant; of
	// [ErrInvalidToken] a Token constant. It is
	// empty when there is none.
	Code string
	// Message is for people.
	Message string
	// HTTPStatus is that of the answer that the error was read from; 0 when there was none.
	HTTPStatus int
	// Detail is the platform's detail object; nil when there is none.
	Detail json.RawMessage
	// RequestID is the login request that the call was about, if it was about one.
	RequestID string
	// ApprovalID is the approval that the call was about, once there is one.
	ApprovalID string
	// RetryAfter is how long the platform asked to wait before the next try; 0 when it did not ask.
	RetryAfter time.Duration

	causes []error
}

// Error is the message, with the kind before it.
func (e *Error) Error() string {
	return "lime: " + e.Kind.String() + ": " + e.Message
}

// Is reports whether target is the sentinel of this error's kind. A kind that this package does not know counts
// as [ErrAPI].
func (e *Error) Is(target error) bool {
	other, ok := target.(sentinel)
	if !ok {
		return false
	}
	if _, known := kinds[e.Kind]; !known {
		return Kind(other) == KindAPI
	}
	return Kind(other) == e.Kind
}

// Unwrap gives what is behind the error: the context's error and cause when the context ended the call, and
// what an [http.RoundTripper] of your own returned.
func (e *Error) Unwrap() []error { return e.causes }

// Timeout reports whether time ran out: the caller's, an HTTP request's or a proof of work's.
func (e *Error) Timeout() bool {
	switch e.Kind {
	case KindTimeout, KindTransportTimeout, KindPowTimeout:
		return true
	}
	return false
}

// failed makes an error of what a function of the library gave, and frees that. A function that has no error
// to give has only the status.
func failed(status C.int32_t, failure *C.lime_error) *Error {
	if failure == nil {
		return bare(Kind(status))
	}
	defer C.lime_error_free(failure)
	return readError(status, failure)
}

// bare is an error of which only the kind is known.
func bare(kind Kind) *Error {
	return &Error{Kind: kind, Message: kind.Description()}
}

// readError copies an error that stays the library's.
func readError(status C.int32_t, failure *C.lime_error) *Error {
	e := &Error{
		Kind:       Kind(status),
		Code:       C.GoString(C.lime_error_code(failure)),
		Message:    C.GoString(C.lime_error_message(failure)),
		HTTPStatus: int(C.lime_error_http_status(failure)),
		RequestID:  C.GoString(C.lime_error_request_id(failure)),
		ApprovalID: C.GoString(C.lime_error_approval_id(failure)),
	}
	if detail := C.lime_error_detail_json(failure); detail != nil {
		e.Detail = json.RawMessage(C.GoString(detail))
	}
	if wait := C.lime_error_retry_after_ms(failure); wait > 0 {
		e.RetryAfter = fromMillis(uint64(wait))
	}
	return e
}

// invalid is an argument that this package refuses itself.
func invalid(format string, arguments ...any) *Error {
	return &Error{Kind: KindInvalidArgument, Message: fmt.Sprintf(format, arguments...)}
}

func closed() *Error {
	return &Error{Kind: KindClosed, Message: "The client is closed"}
}

// interrupted is the error of a call whose context has ended.
func interrupted(ctx context.Context) *Error {
	e := &Error{Kind: KindCancelled, Message: "The context was cancelled"}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Kind, e.Message = KindTimeout, "The context's deadline passed"
	}
	return e.because(ctx)
}

// because adds why the context has ended.
func (e *Error) because(ctx context.Context) *Error {
	e.causes = append(e.causes, ctx.Err())
	if cause := context.Cause(ctx); cause != ctx.Err() {
		e.causes = append(e.causes, cause)
	}
	return e
}
