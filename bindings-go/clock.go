package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
	"time"
	"unsafe"
)

// A Clock is a clock for tests: it stands still until the program moves it, so that every back-off and expiry can be
// tested without waiting. Any number of goroutines may use it at once, and any number of clients. It does not bound
// requests that are under way, nor a proof of work: those take real time. Deadlines of contexts are the machine's. It
// needs no closing.
type Clock struct {
	handle *C.lime_clock
}

// NewClock makes a clock that stands at a time, which it has in milliseconds. With skips, every wait moves the clock by
// itself and ends at once; without, it lasts until [Clock.Advance] has moved the clock far enough.
//
// It fails with [ErrInvalidArgument] for a time before 1970.
func NewClock(now time.Time, skips bool) (*Clock, error) {
	handle := C.lime_clock_new(C.int64_t(now.UnixMilli()), flag(skips))
	if handle == nil {
		return nil, invalid("The clock stands before 1970")
	}
	clock := &Clock{handle: handle}
	runtime.AddCleanup(clock, func(handle unsafe.Pointer) { C.lime_clock_free((*C.lime_clock)(handle)) }, unsafe.Pointer(handle))
	return clock, nil
}

// Advance moves the clock forward and ends the waits whose time has come. A negative duration does nothing.
func (c *Clock) Advance(by time.Duration) {
	defer runtime.KeepAlive(c)
	C.lime_clock_advance_ms(c.handle, millis(by))
}

// SetJitter sets what the library gets for a random number, which spreads its back-offs. The default is 0.
//
// It fails with [ErrInvalidArgument] for a number that is not from 0 (included) to 1 (excluded).
func (c *Clock) SetJitter(jitter float64) error {
	defer runtime.KeepAlive(c)
	if C.lime_clock_set_jitter(c.handle, C.double(jitter)) != C.LIME_OK {
		return invalid("The jitter is not from 0 to 1")
	}
	return nil
}

// Sleeps are how long the waits are, or were, that have begun so far, in the order in which they began.
func (c *Clock) Sleeps() []time.Duration {
	defer runtime.KeepAlive(c)
	sleeps := make([]time.Duration, C.lime_clock_sleeps(c.handle))
	for at := range sleeps {
		sleeps[at] = fromMillis(uint64(C.lime_clock_slept_ms(c.handle, C.size_t(at))))
	}
	return sleeps
}

// WaitForSleeps waits until so many waits have begun since the clock was made. It fails when the context ends before,
// with [ErrCancelled] or [ErrTimeout].
func (c *Clock) WaitForSleeps(ctx context.Context, count int) error {
	defer runtime.KeepAlive(c)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for int(C.lime_clock_sleeps(c.handle)) < count {
		select {
		case <-ctx.Done():
			return interrupted(ctx)
		case <-ticker.C:
		}
	}
	return nil
}
