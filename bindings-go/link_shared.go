//go:build !lime_static

package lime

// #cgo pkg-config: lime
import "C"
