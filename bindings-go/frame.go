package lime

// #include "bridge.h"
import "C"

import "fmt"

// A FrameKind is what an event of a site's stream says. A later version of the library may know more of them.
type FrameKind int32

const (
	// FrameKeepalive: the connection is alive.
	FrameKeepalive FrameKind = C.LIME_FRAME_KEEPALIVE
	// FrameApproved: an agent signed in: RequestID and Passport are there.
	FrameApproved FrameKind = C.LIME_FRAME_APPROVED
	// FrameExpired: nobody signed in in time: RequestID is there.
	FrameExpired FrameKind = C.LIME_FRAME_EXPIRED
	// FrameError: the platform reports a fault: Code and Message are there.
	FrameError FrameKind = C.LIME_FRAME_ERROR
	// FrameIgnored: something that this version does not know, or that is not about a login request.
	FrameIgnored FrameKind = C.LIME_FRAME_IGNORED
	// FrameMalformed: not what the protocol allows: Message says why.
	FrameMalformed FrameKind = C.LIME_FRAME_MALFORMED
)

var frameNames = map[FrameKind]string{
	FrameKeepalive: "keepalive",
	FrameApproved:  "approved",
	FrameExpired:   "expired",
	FrameError:     "error",
	FrameIgnored:   "ignored",
	FrameMalformed: "malformed",
}

// String is the kind's name, such as "approved".
func (k FrameKind) String() string {
	if name, ok := frameNames[k]; ok {
		return name
	}
	return fmt.Sprintf("frame_%d", int32(k))
}

// A LoginFrame is the meaning of one event of a site's stream.
type LoginFrame struct {
	// Kind says which of the others are there.
	Kind FrameKind
	// Event has the login request of an approved or expired event, and the passport, not verified, of an approved one.
	Event LoginEvent
	// Code is the platform's code in an error event.
	Code string
	// Message is that of an error event, or why an event is malformed.
	Message string
}

// ParseLoginFrame reads the data of one event of a site's stream. A [Site] does this by itself; this function is for
// programs that bring their own connection.
//
// It fails with [ErrInvalidArgument] when the data is not UTF-8. Whatever else is wrong is a [FrameMalformed].
func ParseLoginFrame(data []byte) (LoginFrame, error) {
	var frame *C.lime_login_frame
	var failure *C.lime_error
	pointer, length := span(data)
	if status := C.lime_login_frame_parse(pointer, length, &frame, &failure); status != C.LIME_OK {
		return LoginFrame{}, failed(status, failure)
	}
	defer C.lime_login_frame_free(frame)
	return LoginFrame{
		Kind: FrameKind(C.lime_login_frame_kind(frame)),
		Event: LoginEvent{
			RequestID: C.GoString(C.lime_login_frame_request_id(frame)),
			Passport:  C.GoString(C.lime_login_frame_passport(frame)),
		},
		Code:    C.GoString(C.lime_login_frame_code(frame)),
		Message: C.GoString(C.lime_login_frame_message(frame)),
	}, nil
}
