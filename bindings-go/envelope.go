package lime

// #include "bridge.h"
import "C"

import (
	"encoding/json"
	"math"
)

// OpenEnvelope takes the data out of an answer of the platform: {"ok": true, "data": {...}}. Clients do this by
// themselves; this function is for programs that bring their own HTTP client.
//
// It fails with the platform's own error, as [ErrRateLimit], [ErrAuthentication] or [ErrAPI]; with [ErrBadResponse] when
// the body is no such answer; with [ErrInvalidArgument] for a number that is no HTTP status.
func OpenEnvelope(httpStatus int, body []byte) (json.RawMessage, error) {
	if httpStatus < 0 || httpStatus > math.MaxInt32 {
		return nil, invalid("Not an HTTP status: %d", httpStatus)
	}
	var data *C.char
	var failure *C.lime_error
	pointer, length := span(body)
	if status := C.lime_envelope_open(C.int32_t(httpStatus), pointer, length, &data, &failure); status != C.LIME_OK {
		return nil, failed(status, failure)
	}
	defer C.lime_string_free(data)
	return json.RawMessage(C.GoString(data)), nil
}
