"""Programs that want more of the host's descriptors than there are get errors; the kernel goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: In a process of its own, which may have few descriptors.
SCRIPT = r'''
import resource, sys, tempfile, os
sys.path.insert(0, "tests")
from plan9_programs import main, program
from vx32py.plan9 import Kernel

opens = program(main(r"""
    int n, fd, k, pids, ends[2]; char b[200];
    check(pipe(ends) == 0);
    if(argv[1][0] == 'f') for(n = 0; (fd = open("/a/b/c/file", OREAD)) >= 0; n++) check(n < 1000);
    if(argv[1][0] == 'n'){
        for(n = 0; (fd = open("/net/tcp/clone", ORDWR)) >= 0 && write(fd, "announce 127.0.0.1!0", 20) >= 0; n++) check(n < 1000);
        check(fd >= 0);
        b[0] = 0; errstr(b, sizeof b); check(strcmp(b, "no free devices") == 0);
    }
    for(pids = 0; (k = fork()) > 0; pids++) check(pids < 1000);
    if(k == 0){ read(ends[0], b, 1); exits(""); }
    b[0] = 0; errstr(b, sizeof b); check(argv[2][0] == 'r' || strcmp(b, "no procs") == 0 || strcmp(b, "kernel allocate failed") == 0);
    check(argv[1][0] != 'p' || pids > 0);
    for(k = 0; k < pids; k++) write(ends[1], "x", 1);
    while(pids-- > 0) check(strcmp(wait(), "") == 0);
    k = create("/tmp/other", OWRITE, 0666);
    check(k >= 0 && write(k, "all the rest goes on", 20) == 20);
"""))
engine, what = sys.argv[1:]
with tempfile.TemporaryDirectory() as tree, Kernel(engine=engine, processes=30 if engine == "reference" else 500, root=tree,
                                                   net="host", memory="16M", timeout=100) as kernel:
    os.makedirs(tree + "/a/b/c")
    with open(tree + "/a/b/c/file", "w") as file:
        file.write("x")
    resource.setrlimit(resource.RLIMIT_NOFILE, (180, 180))
    proc = kernel.start_program(opens, ["opens", what, engine])
    kernel.wait(proc)
    assert proc.status == "", proc.status
    assert kernel.serve(timeout=60)
'''


@pytest.mark.parametrize("what", ["files", "network", "processes"])
def test_programs_that_use_up_the_hosts_descriptors_get_errors(engine_name: str, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, engine_name, what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
