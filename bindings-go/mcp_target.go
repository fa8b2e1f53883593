package lime

// #include "bridge.h"
import "C"

// ExtractAndNormalizeDomain gives the host name that tokens for an MCP server are issued and kept for: in lower case,
// without scheme, port and path. No name is resolved for it.
//
// It fails with [ErrInvalidArgument] for anything but a public DNS name: user names, IP addresses in any spelling
// (127.1, 2130706433), localhost and other reserved names.
func ExtractAndNormalizeDomain(target string) (string, error) {
	return ofTarget(target, func(target *C.char, text **C.char, failure **C.lime_error) C.int32_t {
		return C.lime_extract_and_normalize_domain(target, text, failure)
	})
}

// ResolveMCPHTTPURL gives the address of the MCP server that a target means: of a bare host name "https://.../mcp", of a
// URL the URL, without white space around it and slashes at its end.
//
// It fails as [ExtractAndNormalizeDomain].
func ResolveMCPHTTPURL(target string) (string, error) {
	return ofTarget(target, func(target *C.char, text **C.char, failure **C.lime_error) C.int32_t {
		return C.lime_resolve_mcp_http_url(target, text, failure)
	})
}

func ofTarget(target string, read func(*C.char, **C.char, **C.lime_error) C.int32_t) (string, error) {
	pointer, err := text("target", target)
	if err != nil {
		return "", err
	}
	var found *C.char
	var failure *C.lime_error
	if status := read(pointer, &found, &failure); status != C.LIME_OK {
		return "", failed(status, failure)
	}
	defer C.lime_string_free(found)
	return C.GoString(found), nil
}
