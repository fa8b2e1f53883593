package lime

// #include "bridge.h"
import "C"

import (
	"math"
	"time"
)

// ParseTimestamp reads a point in time as the platforms write it: ISO 8601, with "Z", an offset, or neither,
// which counts as UTC. The time has the offset that it was written with; parts finer than a microsecond are cut off.
//
// It fails with [ErrBadResponse] when the text is no point in time.
func ParseTimestamp(value string) (time.Time, error) {
	micros, offset, err := parseTimestamp(value)
	if err != nil {
		return time.Time{}, err
	}
	return at(micros, offset), nil
}

func parseTimestamp(value string) (micros C.int64_t, offset C.int32_t, err error) {
	pointer, err := text("text", value)
	if err != nil {
		return 0, 0, err
	}
	var failure *C.lime_error
	if status := C.lime_timestamp_parse(pointer, &micros, &offset, &failure); status != C.LIME_OK {
		return 0, 0, failed(status, failure)
	}
	return micros, offset, nil
}

// noOffset is what an offset is that was not written.
const noOffset = C.LIME_NO_OFFSET

// at is a time of the library's; the zero time when there is none.
func at(micros C.int64_t, offset C.int32_t) time.Time {
	if micros == C.LIME_NO_TIME {
		return time.Time{}
	}
	zone := time.UTC
	if offset != C.LIME_NO_OFFSET && offset != 0 {
		zone = time.FixedZone("", int(offset))
	}
	return time.UnixMicro(int64(micros)).In(zone)
}

// millis is a duration in whole milliseconds, rounded up so that little does not become nothing.
func millis(duration time.Duration) C.uint64_t {
	if duration <= 0 {
		return 0
	}
	return C.uint64_t((duration-1)/time.Millisecond) + 1
}

// fromMillis is as long as a Duration can be, at most.
func fromMillis(count uint64) time.Duration {
	if count > uint64(math.MaxInt64/time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(count) * time.Millisecond
}

// unixSeconds is a time as the library's pure functions take it.
func unixSeconds(moment time.Time) C.double {
	return C.double(float64(moment.Unix()) + float64(moment.Nanosecond())/1e9)
}
