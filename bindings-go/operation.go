package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
	"runtime/cgo"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// client is what a Site, an Agent, a Sesame and a TokenVerifier have in common: a handle of the library, and who is using it.
// It knows nothing of its owner, so that the garbage collector can tell when the owner was forgotten.
type client struct {
	close func(unsafe.Pointer)
	free  func(unsafe.Pointer)
	// carrier is nil when the library carries its requests itself.
	carrier *carrier
	// ownTime: deadlines of contexts cannot be left to the library, whose clock is a test's.
	ownTime bool

	mutex  sync.Mutex
	handle unsafe.Pointer // nil once it is freed
	users  int
	closed bool
}

// use gives the handle, which lives until unuse.
func (c *client) use() (unsafe.Pointer, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.closed {
		return nil, closed()
	}
	c.users++
	return c.handle, nil
}

func (c *client) unuse() {
	c.mutex.Lock()
	c.users--
	handle := c.unused()
	c.mutex.Unlock()
	if handle != nil {
		c.free(handle)
	}
}

// unused gives the handle when it is to be freed now, which happens outside the lock: freeing a site waits for
// the library's callback that is running.
func (c *client) unused() unsafe.Pointer {
	if !c.closed || c.users > 0 {
		return nil
	}
	handle := c.handle
	c.handle = nil
	return handle
}

// shut closes the client, and frees it as soon as nobody uses it. It reports whether it was the first to do so.
func (c *client) shut() bool {
	c.mutex.Lock()
	if c.closed {
		c.mutex.Unlock()
		return false
	}
	c.closed = true
	c.users++
	handle := c.handle
	c.mutex.Unlock()
	c.close(handle)
	c.unuse()
	return true
}

// inside has a place for each goroutine that is in the library at once. A goroutine that has to wait there, if only for a
// lock, costs a thread for ever after: ten thousand calls that begin in one moment would leave hundreds.
var inside = make(chan struct{}, max(16, 2*runtime.NumCPU()))

// within makes a call of the library that returns soon.
func within[T any](call func() T) T {
	inside <- struct{}{}
	defer func() { <-inside }()
	return call()
}

// outcome is how a started call ended.
type outcome[T any] struct {
	value T
	err   *Error
}

// limit is how long a call may wait, as the library is told.
type limit struct {
	// timeout is the caller's own; 0 is none.
	timeout time.Duration
	// millis is what the library gets.
	millis C.uint64_t
	// ofContext: it is the context's deadline that the library watches.
	ofContext bool
	// show, if it is there, is called at once and every now and then while the call goes on.
	show func()
}

// limitOf lets the library watch the context's deadline where it comes before the timeout: what it reports then
// says more, such as which approval is still pending.
func (c *client) limitOf(ctx context.Context, timeout time.Duration) (limit, error) {
	if timeout < 0 {
		return limit{}, invalid("The timeout is negative")
	}
	l := limit{timeout: timeout, millis: C.LIME_WAIT_FOREVER}
	if timeout > 0 {
		l.millis = millis(timeout)
	}
	if deadline, ok := ctx.Deadline(); ok && !c.ownTime {
		if left := time.Until(deadline); timeout == 0 || left < timeout {
			l.millis, l.ofContext = millis(left), true
		}
	}
	return l, nil
}

// grace is for how long the library may be late with a deadline of the context's before the call is cancelled.
const grace = time.Second

// perform starts a call and waits for its end on a channel, so that it takes no thread. `begin` gets the handle and
// what is to be the callback's user data.
func perform[T any](
	ctx context.Context,
	c *client,
	l limit,
	begin func(handle unsafe.Pointer, call C.uintptr_t) C.lime_go_started,
) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, interrupted(ctx)
	}
	handle, err := c.use()
	if err != nil {
		return none, err
	}
	// One place: the callback, which comes once, never waits for us.
	done := make(chan outcome[T], 1)
	call := newHandle(done)
	var carried *carriedCall
	started := within(func() (started C.lime_go_started) {
		if c.carrier == nil {
			return begin(handle, call)
		}
		carried = c.carrier.begin(ctx, func() uint64 {
			started = begin(handle, call)
			return uint64(started.operation)
		})
		return started
	})
	c.unuse()
	if carried != nil {
		defer c.carrier.end(uint64(started.operation))
	}
	if started.status != C.LIME_OK {
		return none, failed(started.status, started.error)
	}
	ended, err := wait(ctx, uint64(started.operation), l, done)
	if err != nil {
		return none, err
	}
	if ended.err != nil {
		if l.ofContext && ended.err.Kind == KindTimeout {
			ended.err.causes = append(ended.err.causes, context.DeadlineExceeded)
		}
		if carried != nil {
			carried.explain(ended.err)
		}
		return none, ended.err
	}
	return ended.value, nil
}

// wait gives the outcome, or the context's error when that came first.
func wait[T any](ctx context.Context, operation uint64, l limit, done <-chan outcome[T]) (outcome[T], error) {
	returned := false
	defer func() {
		if !returned { // show has panicked
			cancel(operation)
		}
	}()
	ended, ok := watch(ctx, l, done)
	returned = true
	if ok {
		return ended, nil
	}
	if !cancel(operation) {
		// It had ended before: its callback is on its way, and what it brings counts.
		return <-done, nil
	}
	return outcome[T]{}, interrupted(ctx)
}

// cancel reports whether the operation was still under way.
func cancel(operation uint64) bool {
	return within(func() bool { return C.lime_operation_cancel(C.uint64_t(operation)) == 1 })
}

// watch gives the outcome, or nothing when the context ends before.
func watch[T any](ctx context.Context, l limit, done <-chan outcome[T]) (ended outcome[T], ok bool) {
	var show <-chan time.Time
	if l.show != nil {
		ticker := time.NewTicker(showInterval)
		defer ticker.Stop()
		show = ticker.C
		l.show()
	}
	for {
		select {
		case ended := <-done:
			return ended, true
		case <-show:
			l.show()
			continue
		case <-ctx.Done():
		}
		break
	}
	if l.ofContext && ctx.Err() == context.DeadlineExceeded {
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case ended := <-done:
			return ended, true
		case <-late.C:
		}
	}
	return outcome[T]{}, false
}

// showInterval is how often it is shown how far a call has come.
const showInterval = 200 * time.Millisecond

// complete hands the end of a call over to whoever waits for it.
func complete[T any](call C.uintptr_t, status C.int32_t, failure *C.lime_error, value func() T) {
	done := cgo.Handle(call).Value().(chan outcome[T])
	if status != C.LIME_OK {
		done <- outcome[T]{err: failed(status, failure)}
		return
	}
	done <- outcome[T]{value: value()}
}

// newHandle is what a callback of the library finds a value of ours by, until limeGoDrop.
func newHandle(value any) C.uintptr_t {
	handles.Add(1)
	return C.uintptr_t(cgo.NewHandle(value))
}

// handles is how many there are.
var handles atomic.Int64

//export limeGoDrop
func limeGoDrop(handle C.uintptr_t) {
	cgo.Handle(handle).Delete()
	handles.Add(-1)
}
