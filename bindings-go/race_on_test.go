//go:build race

package lime

// many is less with the race detector, which takes some 8,000 goroutines.
const many = 3_000
