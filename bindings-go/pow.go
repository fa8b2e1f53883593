package lime

// #include "bridge.h"
import "C"

import (
	"context"
	"time"
	"unsafe"
)

// PowDigest says which digest a proof of work has.
type PowDigest int32

const (
	// PowDigestAuto is for an [Agent] only: the seed's digest first, today's when the platform does not take that one.
	PowDigestAuto PowDigest = C.LIME_POW_DIGEST_AUTO
	// PowDigestSeed is the SHA-256 of the challenge and the nonce.
	PowDigestSeed PowDigest = C.LIME_POW_DIGEST_SEED
	// PowDigestToday is the SHA-256 of "lime:pow:v1", NUL, the challenge, NUL and the nonce.
	PowDigestToday PowDigest = C.LIME_POW_DIGEST_TODAY
)

// PowOptions say how to solve a proof of work.
type PowOptions struct {
	// Digest is [PowDigestSeed] or [PowDigestToday]. Required.
	Digest PowDigest
	// Timeout is the wall-clock budget. 0 leaves it to the context; with a negative one there is no time at all.
	Timeout time.Duration
	// Threads is how many threads search. 0 counts as 1.
	Threads int
}

// SolvePow finds the smallest nonce, as decimal text, whose digest begins with difficulty zero bits. It runs on a thread
// of the library, as soon as fewer searches than the machine has cores are running. An [Agent]'s login does this by
// itself; this function is for programs that bring their own HTTP client. When the context ends, so does the search.
//
// It fails with [ErrPowTimeout]; with [ErrPowDifficulty] at once for more than 256 bits; with [ErrInvalidArgument].
func SolvePow(ctx context.Context, challenge string, difficulty int64, options PowOptions) (string, error) {
	if options.Threads < 0 {
		return "", invalid("Threads is negative")
	}
	budget := C.uint64_t(C.LIME_WAIT_FOREVER)
	if options.Timeout != 0 {
		budget = millis(options.Timeout)
	}
	pointer, length := span([]byte(challenge))
	return perform[string](ctx, &client{}, limit{}, func(_ unsafe.Pointer, call C.uintptr_t) C.lime_go_started {
		return C.lime_go_pow_solve(pointer, length, C.int64_t(difficulty), C.int32_t(options.Digest), budget,
			C.size_t(options.Threads), call)
	})
}

//export limeGoPowNonce
func limeGoPowNonce(call C.uintptr_t, status C.int32_t, nonce *C.lime_pow_nonce, failure *C.lime_error) {
	complete(call, status, failure, func() string {
		defer C.lime_pow_nonce_free(nonce)
		return C.GoString(C.lime_pow_nonce_text(nonce))
	})
}
