package lime

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPowIsTheSmallestForAnyThreads(t *testing.T) {
	leavesNothing(t)
	one, err := SolvePow(watched(t), "lr_1", 12, PowOptions{Digest: PowDigestToday})
	ok(t, err)
	for _, threads := range []int{2, 9} {
		other, err := SolvePow(watched(t), "lr_1", 12, PowOptions{Digest: PowDigestToday, Threads: threads})
		ok(t, err)
		equal(t, "nonce", other, one)
	}
	for name, options := range map[string]PowOptions{"no digest": {}, "threads": {Digest: PowDigestSeed, Threads: -1}, "digest": {Digest: 7}} {
		if _, err := SolvePow(watched(t), "lr_1", 1, options); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPowEndsWithTheContext(t *testing.T) {
	leavesNothing(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := SolvePow(ctx, "lr_hard", 200, PowOptions{Digest: PowDigestSeed})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
	if _, err := SolvePow(watched(t), "lr_hard", 200, PowOptions{Digest: PowDigestSeed, Timeout: time.Millisecond}); !errors.Is(err, ErrPowTimeout) {
		t.Errorf("got %v", err)
	}
}
