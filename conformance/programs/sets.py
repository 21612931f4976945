"""Which packages make which tree. Package names may have a ``*`` where Debian puts a version number.

``base`` is what the test suite runs; the others are for ``--all``. Each has the shell and the core utilities besides.
"""

from __future__ import annotations

from typing import Final

from conformance.programs import roots

_SHELL: Final = ("bash", "dash", "coreutils", "grep", "sed", "base-files", "netbase", "busybox-static")

SETS: Final[dict[str, tuple[str, ...]]] = {
    "base": (
        *_SHELL, "gawk", "mawk", "findutils", "diffutils", "patch", "tar", "gzip", "bzip2", "xz-utils",
        "zstd", "lz4", "zip", "unzip", "pigz", "make", "m4", "bison", "flex", "tcc", "libc6-dev", "perl", "python3",
        "libpython3*-testsuite", "sqlite3", "lua5.4", "jq", "bc", "dc", "ed", "file", "less", "bsdextrautils",
        "util-linux", "xxd", "openssl", "redis-server", "redis-tools", "procps", "sed", "time", "rsync", "tcl", "socat",
    ),
    "busybox-dynamic": ("busybox",),
    "gcc": (*_SHELL, "gcc", "g++", "libc6-dev", "make", "binutils"),
    "git": (*_SHELL, "git", "less"),
    "net": (*_SHELL, "curl", "nginx-light", "openssh-client", "openssh-server", "socat", "netcat-openbsd"),
    "gnupg": (*_SHELL, "gnupg"),
    "vim": (*_SHELL, "vim-tiny", "nano", "vim"),
    "php": (*_SHELL, "php-cli"),
    "ruby": (*_SHELL, "ruby"),
    "nodejs": (*_SHELL, "nodejs"),
    "ocaml": (*_SHELL, "ocaml-nox", "gcc", "libc6-dev"),
    "ghc": (*_SHELL, "ghc", "gcc", "libc6-dev"),
    "lisp": (*_SHELL, "sbcl", "guile-3.0", "emacs-nox"),
    "imagemagick": (*_SHELL, "imagemagick"),
    "ffmpeg": (*_SHELL, "ffmpeg"),
    "p7zip": (*_SHELL, "p7zip", "p7zip-full"),
    "go": (*_SHELL, "golang-go"),
    "rust": (*_SHELL, "rustc", "gcc", "libc6-dev"),
    "java": (*_SHELL, "default-jre-headless"),
    "debug": (*_SHELL, "strace", "gdb"),
}  # fmt: skip


def fetch(name: str, progress: roots.Progress = lambda line: None) -> roots.Root:
    """The tree of that name. Raises roots.Unavailable, KeyError."""
    return roots.fetch(name, SETS[name], progress)
