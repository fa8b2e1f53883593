//go:build lime_static

package lime

// The variable says that liblime.a is meant even where liblime.so lies beside it.

// #cgo pkg-config: --static --define-variable=library=:liblime.a lime
import "C"
