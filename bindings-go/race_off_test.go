//go:build !race

package lime

// many is how many waits are under way at once.
const many = 10_000
