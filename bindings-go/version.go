package lime

// #include "bridge.h"
import "C"

import "fmt"

// HeaderVersion is the version of the library whose header this package was compiled with.
const HeaderVersion = C.LIME_VERSION

// Version is the version of the library at run time, "MAJOR.MINOR.PATCH".
func Version() string { return C.GoString(C.lime_version()) }

// ABIVersion is the version of the library's binary interface at run time. It is never smaller than that of the
// header that this package was compiled with: clients cannot be made otherwise.
func ABIVersion() int { return int(C.lime_abi_version()) }

// checkABI refuses a library that is older than the header.
func checkABI() error {
	return checkABIVersion(ABIVersion(), C.LIME_ABI_VERSION)
}

func checkABIVersion(library, header int) error {
	if library >= header {
		return nil
	}
	return &Error{Kind: KindInternal, Message: fmt.Sprintf(
		"liblime %s is older than the header that the program was compiled with (ABI %d, wanted %d)",
		Version(), library, header)}
}
