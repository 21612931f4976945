"""Which packages of Go's library are tested, and why some of their tests fail on the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NAMES: Final = """
errors unicode unicode/utf8 unicode/utf16 strings bytes strconv sort path path/filepath bufio io io/fs io/ioutil fmt
math math/bits math/cmplx math/rand math/big
container/heap container/list container/ring context flag log expvar reflect
sync sync/atomic time regexp regexp/syntax text/scanner text/tabwriter text/template text/template/parse
hash/adler32 hash/crc32 hash/crc64 hash/fnv hash/maphash
encoding/ascii85 encoding/asn1 encoding/base32 encoding/base64 encoding/binary encoding/csv encoding/gob encoding/hex
encoding/json encoding/pem encoding/xml
compress/bzip2 compress/flate compress/gzip compress/lzw compress/zlib archive/tar archive/zip
crypto/aes crypto/cipher crypto/des crypto/dsa crypto/ecdsa crypto/ed25519 crypto/elliptic crypto/hmac crypto/md5
crypto/rand crypto/rc4 crypto/rsa crypto/sha1 crypto/sha256 crypto/sha512 crypto/subtle crypto/x509 crypto/tls
html html/template mime mime/multipart mime/quotedprintable net/mail net/textproto net/url net/netip
image image/color image/draw image/gif image/jpeg image/png index/suffixarray
go/ast go/constant go/doc go/format go/parser go/printer go/scanner go/token go/types
debug/dwarf debug/elf debug/plan9obj database/sql
os os/exec os/signal os/user syscall runtime runtime/debug runtime/pprof testing testing/fstest testing/iotest testing/quick
internal/bytealg internal/fmtsort internal/poll internal/profile internal/reflectlite internal/singleflight
internal/itoa internal/lazyregexp runtime/internal/atomic runtime/internal/sys runtime/internal/math
net net/http net/http/httptest net/http/cookiejar net/rpc net/smtp log/syslog
"""
#: Packages whose tests are built for both systems.
PACKAGES: Final = tuple(_NAMES.split())

_NO_ZONES: Final = "Debian leaves out Go's file of time zones, lib/time/zoneinfo.zip"
_NO_PACKAGES: Final = "it wants packages built for the tests' system in GOROOT/pkg, which Debian does not have"
#: Reasons by package and test; a package's own reason is under "".
REASONS: Final[Mapping[str, Mapping[str, str]]] = {
    "time": {
        "TestBadLocationErrMsg": f"{_NO_ZONES}; that it is missing is told by Plan 9's kernel with the file's name before it, which the"
        " package does not take for ENOENT",
        "TestLoadLocationFromTZData": _NO_ZONES,
    },
    "net": {
        "TestIPv6WriteMsgUDPAddrPortTargetAddrIPVersion": "net has no WriteMsgUDP on Plan 9, which the test does not know",
        "TestLookupNonLDH": "to cs a ! is between host and service, so that !!!.###.bogus. is a bad service and not an unknown host",
    },
    "go/types": {"": _NO_PACKAGES},
    "crypto/tls": {"": "the certificates of the tests were good until 1 January 2025"},
    "crypto/x509": {"": "there is no /sys/lib/tls/ca.pem in the tests' tree"},
    "runtime": {"TestAtomicAlignment": _NO_PACKAGES},
}
