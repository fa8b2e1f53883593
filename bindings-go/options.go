package lime

// #include "bridge.h"
import "C"

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"time"
)

// settings fills options of the library and keeps the first thing that is wrong with them. What is zero is left
// at its default.
type settings struct {
	err error
}

func (s *settings) check(name string, status C.int32_t) {
	if s.err == nil && status != C.LIME_OK {
		s.err = &Error{Kind: Kind(status), Message: name + ": " + Kind(status).Description()}
	}
}

func (s *settings) text(name, value string, set func(*C.char) C.int32_t) {
	pointer, err := optional(name, value)
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		return
	}
	s.check(name, set(pointer))
}

func (s *settings) each(name string, values []string, add func(*C.char) C.int32_t) {
	for _, value := range values {
		s.text(name, value, add)
	}
}

// duration sets a time; a negative one is zero where there is sense in that, else refused.
func (s *settings) duration(name string, value time.Duration, none bool, set func(C.uint64_t) C.int32_t) {
	switch {
	case value == 0:
	case value < 0 && !none:
		s.refuse(name)
	default:
		s.check(name, set(millis(value)))
	}
}

// count sets a number; a negative one is zero where there is sense in that, else refused.
func (s *settings) count(name string, value int, none bool, set func(C.size_t) C.int32_t) {
	switch {
	case value == 0:
	case value < 0 && !none:
		s.refuse(name)
	default:
		s.check(name, set(C.size_t(min(max(value, 0), math.MaxUint32))))
	}
}

func (s *settings) number(name string, value int32, set func(C.int32_t) C.int32_t) {
	if value != 0 {
		s.check(name, set(C.int32_t(value)))
	}
}

// raise sets a flag; where it is false, what was set before stays.
func (s *settings) raise(value bool, set func(C.int32_t) C.int32_t) {
	if value {
		s.check("", set(flag(value)))
	}
}

func (s *settings) log(logger *slog.Logger, set func(C.uintptr_t) C.int32_t) {
	if err := setLog(logger, set); s.err == nil && err != nil {
		s.err = err
	}
}

func (s *settings) clock(clock *Clock, set func(*C.lime_clock) C.int32_t) {
	if clock != nil {
		s.check("Clock", set(clock.handle))
		runtime.KeepAlive(clock)
	}
}

// transport makes a RoundTripper the one that carries the requests; nil is the library's own client.
func (s *settings) transport(tripper http.RoundTripper, logger *slog.Logger, set func(*C.lime_transport) C.int32_t) *carrier {
	if tripper == nil {
		return nil
	}
	carrier := newCarrier(tripper, logger)
	transport, err := carrier.transport()
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		return nil
	}
	// The options keep it, and then the client.
	defer C.lime_transport_free(transport)
	s.check("Transport", set(transport))
	return carrier
}

func (s *settings) refuse(name string) {
	if s.err == nil {
		s.err = invalid("%s is negative", name)
	}
}

// shown is a value with a secret, of which only is shown whether it is there.
func shown(name, secret string, others ...slog.Attr) slog.Value {
	if secret != "" {
		secret = "***"
	}
	return slog.GroupValue(append([]slog.Attr{slog.String(name, secret)}, others...)...)
}

// format writes what LogValue shows, for every verb that there is.
func format(state fmt.State, _ rune, value slog.Value) {
	// Errors of a writer are the caller's to see: fmt keeps them.
	fmt.Fprint(state, value.String())
}
