package lime

import (
	"os"
	"strings"
	"testing"
)

// TestTheLibraryIsWhereTheBuildTagSays: in this program, or in a file of its own, although both are installed.
func TestTheLibraryIsWhereTheBuildTagSays(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/maps")
	ok(t, err)
	equal(t, "whether liblime.so is loaded", strings.Contains(string(maps), "/liblime.so"), !linkedStatically)
}
