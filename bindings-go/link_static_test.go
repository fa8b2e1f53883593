//go:build lime_static

package lime

const linkedStatically = true
