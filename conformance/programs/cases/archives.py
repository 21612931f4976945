"""Archives and compressors, with threads where they have them."""

from __future__ import annotations

from typing import Final

from conformance.programs.case import Case

_TEXT: Final = "".join(f"line {i} {(i * 2654435761) % 4294967296:08x} {'abc' * (i % 7)}\n" for i in range(20000))
_FILES: Final = {"text": _TEXT, "tree/a": "a\n", "tree/b/c": "c\n" * 100, "tree/b/run.sh": "#!/bin/sh\necho run\n"}
_SHORT: Final = {"text": _TEXT[:200_000]}
_EVERYWHERE: Final = ("jit", "reference")


def _case(name: str, package: str, script: str, **rest: object) -> Case:
    return Case(name, package, script=script, files=_FILES, **rest)  # type: ignore[arg-type]


def _tar(name: str, package: str, option: str, suffix: str, *, default: bool = True) -> Case:
    script = f"""\
T="tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0"
ln -s a tree/link; chmod 640 tree/a; mkdir -m 700 tree/empty
$T -c {option} -f t.tar{suffix} tree text; echo $?; tar -tf t.tar{suffix}; mkdir out; tar -xf t.tar{suffix} -C out; echo $?
diff -r tree out/tree && cmp text out/text && echo same; ls -R out; stat -c '%a %n' out/tree/a out/tree/empty; readlink out/tree/link
tar -cf - tree | tar -tvf - --utc | cut -c 1-10; tar -xOf t.tar{suffix} tree/b/run.sh | sh; tar -df t.tar{suffix}; echo $?
"""
    # Compressed files of some programs have the time in them.
    return _case(f"tar-{name}", package, script, ignore=r"\.tar\.gz$", timeout=120, memory="192M", default=default)


CASES: Final[tuple[Case, ...]] = (
    _tar("plain", "tar", "", ""),
    _tar("gzip", "tar", "-z", ".gz", default=False),
    _tar("bzip2", "tar", "-j", ".bz2", default=False),
    _tar("xz", "tar", "-J", ".xz"),
    _tar("zstd", "tar", "--zstd", ".zst", default=False),
    Case("gzip-stdin", "gzip", argv=("/bin/gzip", "-9", "-n", "-c"), stdin=_TEXT.encode()),
    _case("gzip", "gzip", "gzip -n -k text; zcat text.gz | cmp - text; echo $?; gzip -t text.gz; gzip -l text.gz; zgrep -c abc text.gz; gzip -d < text.gz | md5sum; echo junk | gzip -d; echo $?; gunzip -f text.gz; ls; znew 2>/dev/null; zdiff text text; echo $?"),
    _case("bzip2", "bzip2", "bzip2 -k -9 text; bzcat text.bz2 | cmp - text; echo $?; bzip2 -t text.bz2; bzip2recover text.bz2 >/dev/null 2>&1; echo $?; head -c 1000 text.bz2 | bzip2 -d >/dev/null 2>&1; echo $?"),
    _case("xz", "xz-utils", "xz -k -3 text; xzcat text.xz | cmp - text; echo $?; xz -t text.xz; xz --robot -l text.xz | cut -f 1-5 | head -n 1; xz -k --format=lzma -1 text; unlzma -c text.lzma | md5sum; xzgrep -c abc text.xz; xz -d < /dev/null; echo $?"),
    _case("xz-threads", "xz-utils", "xz -T2 -k -1 --block-size=200000 text; xz -t text.xz && xzcat text.xz | cmp - text; echo $?; xz -T4 -c -0 --block-size=50000 text | xz -d -T2 | md5sum; xz -T0 -c -0 text | xz -dc | wc -c", timeout=120),
    _case("pigz", "pigz", "pigz -n -p 4 -k -b 128 text; pigz -t text.gz; echo $?; zcat text.gz | cmp - text; echo $?; pigz -n -p 2 -c text | pigz -dc -p 2 | md5sum; pigz -n -11 -p 2 -c tree/b/c | wc -c; pigz -n -z -c text | wc -c", timeout=120),
    _case("zstd", "zstd", "zstd -q -k text; zstdcat text.zst | cmp - text; echo $?; zstd -q -T2 -12 -c text | zstd -dc | md5sum; zstd -q -t text.zst; echo $?; zstd -q --train -B500 text -o dict --maxdict=2000 2>/dev/null; echo $?; zstd -q -D dict -c tree/a | zstd -q -D dict -dc; zstd -q --rm tree/a; ls tree", timeout=120, ignore="dict", memory="192M"),
    _case("lz4", "lz4", "lz4 -q -k text text.lz4; lz4 -q -dc text.lz4 | cmp - text; echo $?; lz4 -q -9 -c text | wc -c; lz4 -q -t text.lz4; echo $?"),
    _case("zip", "zip", "zip -q -r -X t.zip tree text; unzip -l t.zip | tail -n 1 | awk '{ print $1, $2 }'; mkdir o; unzip -q t.zip -d o; diff -r tree o/tree && cmp text o/text && echo same; zip -q -d t.zip text; unzip -Z1 t.zip; unzip -p t.zip tree/b/run.sh | sh; unzip -t t.zip | tail -n 1; zip -q -P secret e.zip tree/a; unzip -q -P secret -p e.zip; unzip -q -P wrong -p e.zip; echo $?; zipnote t.zip | head -n 1", ignore=r"\.zip$"),
    _case("cpio-ar", "tar", "busybox find tree | sort | busybox cpio -o -H newc 2>/dev/null | busybox cpio -t 2>/dev/null; tar -c --format=pax tree | tar -t | wc -l; tar -cf a.tar tree/a; tar -rf a.tar tree/b/c; tar -tf a.tar; tar --delete -f a.tar tree/a; tar -tf a.tar; tar -c -M -L 200 -f v1.tar -f v2.tar -f v3.tar -f v4.tar -f v5.tar -f v6.tar -f v7.tar -f v8.tar -f v9.tar text </dev/null >/dev/null 2>&1; tar -tf nofile; echo $?; tar -xf a.tar --to-command=cat; tar -cf s.tar --sparse text; tar --wildcards -tf a.tar '*/c'", ignore=r"\.tar$"),
    Case("gzip-reference", "gzip", argv=("/bin/gzip", "-1", "-n", "-c"), stdin=_TEXT[:2000].encode(), engines=_EVERYWHERE),
    _case("rsync", "rsync", "rsync -a tree/ copy/; diff -r tree copy && echo same; echo changed >> tree/a; rsync -ai --no-times tree/ copy/ | cut -c 1-3; rm tree/a; rsync -a --delete tree/ copy/; ls -R copy; rsync --list-only tree/ | cut -c 1-10; rsync -a text copy/text; cmp text copy/text; echo $?; echo x >> text; rsync -a --no-whole-file --stats text copy/text | grep -c Matched; rsync nofile x; echo $?", scrub=(r"rsync\(\d+\)",)),
    Case("gzip-short-files", "gzip", script="for i in 1 2 3; do gzip -n -c text | gzip -dc | cmp - text && echo same; done", files=_SHORT),
    _case("p7zip", "p7zip-full", "7z a -bd -y t.7z tree text >/dev/null; echo $?; 7z t t.7z | grep -c Ok; 7z x -bd -oout t.7z >/dev/null; diff -r tree out/tree && cmp text out/text && echo same; 7za a -mmt=2 -bd u.7z text > /dev/null; 7z l t.7z | tail -n 1 | awk '{ print $3, $5 }'", root="p7zip", default=False, ignore=r"\.7z$", timeout=120),
)  # fmt: skip
