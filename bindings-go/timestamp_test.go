package lime

import (
	"math"
	"testing"
	"time"
)

// TestMilliseconds: little does not become nothing, and much does not become less.
func TestMilliseconds(t *testing.T) {
	for duration, want := range map[time.Duration]uint64{
		-1: 0, 0: 0, 1: 1, time.Millisecond - 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Hour: 3_600_000,
		math.MaxInt64: math.MaxInt64/1_000_000 + 1, math.MinInt64: 0,
	} {
		equal(t, duration.String(), uint64(millis(duration)), want)
	}
	for count, want := range map[uint64]time.Duration{0: 0, 7: 7 * time.Millisecond, math.MaxUint64: math.MaxInt64, math.MaxInt64 / 1_000_000: 9223372036854 * time.Millisecond} {
		equal(t, "duration", fromMillis(count), want)
	}
}
