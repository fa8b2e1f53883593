package lime

// #include "bridge.h"
import "C"

import (
	"strings"
	"unsafe"
)

// text is a string as C wants it, in memory of Go's: the library copies what it is given before it returns.
func text(name, value string) (*C.char, error) {
	if strings.IndexByte(value, 0) >= 0 {
		return nil, invalid("%s contains a NUL", name)
	}
	terminated := make([]byte, len(value)+1)
	copy(terminated, value)
	return (*C.char)(unsafe.Pointer(unsafe.SliceData(terminated))), nil
}

// optional is a text that may be absent: an empty one is NULL.
func optional(name, value string) (*C.char, error) {
	if value == "" {
		return nil, nil
	}
	return text(name, value)
}

// span is a pointer and a length.
func span(value []byte) (unsafe.Pointer, C.size_t) {
	return unsafe.Pointer(unsafe.SliceData(value)), C.size_t(len(value))
}

func flag(value bool) C.int32_t {
	if value {
		return 1
	}
	return 0
}
