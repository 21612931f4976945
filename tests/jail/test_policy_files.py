"""A policy file says what the options say, is checked to the last word, and is printed as it is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vx32py
from vx32py._jailpolicy import WORDS, JailPolicy, PolicyError
from vx32py.vfs.mounts import Grant

TEXT = st.text(max_size=20).filter(lambda text: "\0" not in text)

EVERYTHING = """
root = "tree"
overlay = true
overlay-list = true
overlay-save = "/srv/changes"
dir = ["data:/data", "/srv/out:/out:rw"]
tmpfs = ["/tmp:64M", "/run"]
cwd = "/data"
uid = 0
hostname = "cell"
net = ["127.0.0.1:6379", "*:53/udp, listen:127.0.0.1:8080"]
allow-exec = true
terminal = true
engine = "reference"
instructions = "deterministic"
verify = true
memory = "64M"
disk = "1 GiB"
timeout = 1.5
cpu-time = 3
fuel = 1000000
output-limit = "1M"
write-limit = 4096
processes = 5
threads = 0
open-files = 20
[env]
LANG = "C.UTF-8"
"""


def written(folder: Path, text: str | bytes) -> Path:
    """A policy file."""
    path = folder / "policy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_every_word_can_be_said_in_a_file(tmp_path: Path) -> None:
    policy = JailPolicy.from_file(written(tmp_path, EVERYTHING))
    assert policy.root == str(tmp_path / "tree")
    assert policy.dirs == (("/data", Grant(f"{tmp_path}/data")), ("/out", Grant("/srv/out", writable=True)))
    assert policy.tmpfs == (("/tmp", "64M"), ("/run", None))  # noqa: S108 - the guest's
    assert policy.net == ("127.0.0.1:6379", "*:53/udp", "listen:127.0.0.1:8080")
    assert dict(policy.env)["LANG"] == "C.UTF-8"
    assert "PATH" in dict(policy.env)
    default = JailPolicy()
    unchanged = [word.name for word in WORDS if getattr(policy, word.key) == getattr(default, word.key)]
    assert not unchanged


def test_what_is_printed_is_read_as_the_same_policy(tmp_path: Path) -> None:
    for text in (EVERYTHING, ""):
        policy = JailPolicy.from_file(written(tmp_path, text))
        assert JailPolicy.from_file(written(tmp_path, policy.as_toml())) == policy


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(TEXT.filter(lambda t: t and "=" not in t), TEXT, max_size=5), TEXT.filter(bool))
def test_any_text_is_printed_so_that_it_is_read_again(env: dict[str, str], name: str) -> None:
    import tomllib

    try:
        policy = JailPolicy(env=()).altered({"env": env, "hostname": name})
        text = policy.as_toml().encode()
    except UnicodeEncodeError:
        return  # a lone surrogate, which no text file holds
    assert JailPolicy(env=()).altered(tomllib.loads(text.decode())) == policy


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("allow_exec = true", "unknown key 'allow_exec'; did you mean 'allow-exec'?"),
        ("rot = '/'", "unknown key 'rot'; did you mean 'root'?"),
        ("xyzzy = 1", "unknown key 'xyzzy'; there are root, dir, "),
        ("[limits]\nmemory = 1", "unknown key 'limits'"),
        ("memory = '64Q'", "memory: not a size: '64Q'"),
        ("memory = 0", "memory: must be more than 0"),
        ("memory = true", "memory: must be a number of bytes, or such as 64M, not True"),
        ("timeout = '5'", "timeout: must be a number of seconds"),
        ("timeout = nan", "timeout: must be a number of seconds"),
        ("timeout = inf", "timeout: must be a number of seconds"),
        ("fuel = 1.5", "fuel: must be a whole number"),
        ("processes = 0", "processes: must be more than 0"),
        ("threads = -1", "threads: must not be negative"),
        ("allow-exec = 1", "allow-exec: must be true or false, not 1"),
        ("engine = 'fast'", "engine: must be one of auto, jit, translated, reference, not 'fast'"),
        ("net = 'example.com:80'", "net: 'example.com:80': names are not looked up"),
        ("net = ['host', '1.2.3.4:5']", "net: 'host' stands alone"),
        ("net = 5", "net: must be a list of texts"),
        ("dir = ['x:y']", "dir: 'x:y' is not HOST[:GUEST][:ro|rw]"),
        ("dir = [1]", "dir: must be a list of texts"),
        ("tmpfs = ['tmp']", "tmpfs: 'tmp' is not PATH[:SIZE]"),
        ("tmpfs = ['/']", "tmpfs: '/' is not PATH[:SIZE]"),
        ("tmpfs = ['/tmp:huge']", "tmpfs: not a size: 'huge'"),
        ("cwd = 'data'", "cwd: 'data' is not an absolute path"),
        ("root = ''", "root: must be a text"),
        ('root = "a\\u0000b"', "root: must be a text"),
        ("instructions = 'z80'", "instructions: "),
        ("overlay = true", "overlay: needs a root"),
        ("root = 'x'\noverlay-save = 'y'", "overlay-save: needs overlay"),
        ("[env]\nA = 1", "env: A must be a text"),
        ("env = ['=x']", "env: '' is not the name of a variable"),
        ("root = ", "not TOML: "),
        ("root = 'a'\nroot = 'b'", "not TOML: "),
        (b"root = '\xff'", "not TOML: "),
        ("x = " + "[" * 100_000, "not TOML: "),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_in_one_line_that_names_file_and_key(
    tmp_path: Path, text: str | bytes, complaint: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PolicyError) as caught:
        JailPolicy.from_file(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")
    assert "\n" not in str(caught.value)


def test_options_add_to_lists_and_change_the_rest(tmp_path: Path) -> None:
    policy = JailPolicy.from_file(written(tmp_path, EVERYTHING)).altered(
        {"dir": ["/x:/x"], "net": ["[::1]:80"], "timeout": 9.0, "allow-exec": False, "env": ["A=b", "LANG=C"]}
    )
    assert [guest for guest, _ in policy.dirs] == ["/data", "/out", "/x"]
    assert policy.net[-1] == "[::1]:80"
    assert (len(policy.net), policy.timeout, policy.allow_exec) == (4, 9.0, False)
    assert (dict(policy.env)["A"], dict(policy.env)["LANG"]) == ("b", "C")
    assert policy.altered({"net": "none"}).net == ("none",)
    assert policy.altered({"net": "host"}).altered({"net": "1.2.3.4:5"}).net == ("1.2.3.4:5",)


def test_variables_are_taken_from_the_host_where_it_is_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEN", "yes")
    monkeypatch.setenv("LEFT", "no")
    monkeypatch.delenv("MISSING", raising=False)
    assert dict(JailPolicy(env=()).altered({"env": ["TAKEN", "MISSING", "EMPTY="]}).env) == {
        "TAKEN": "yes",
        "EMPTY": "",
    }
    assert dict(JailPolicy(env=()).altered({"env": {"TAKEN": True, "SAID": "1"}}).env) == {"TAKEN": "yes", "SAID": "1"}


def test_a_jail_of_keywords_has_the_policy_that_a_file_of_the_same_words_has(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "data").mkdir()
    text = """
        root = "tree"
        dir = ["data:/data:rw"]
        net = ["127.0.0.1:6379"]
        allow-exec = true
        timeout = 5
        memory = "64M"
    """
    words: dict[str, Any] = {
        "root": tmp_path / "tree", "dirs": {"/data": vx32py.Grant(f"{tmp_path}/data", writable=True)},
        "net": "127.0.0.1:6379", "allow_exec": True, "timeout": 5, "memory": "64M",
    }  # fmt: skip
    of_file = vx32py.Jail.from_policy(written(tmp_path, text))
    of_words = vx32py.Jail(**words)
    assert of_file.policy == of_words.policy
    assert of_words.policy.as_toml() == of_file.policy.as_toml()
    assert of_words.sandbox.network.words() == ["127.0.0.1:6379"]
    assert os.fspath(tmp_path) in repr(of_words)


@pytest.mark.parametrize(
    "words",
    [
        {"timeout": 0}, {"memory": "x"}, {"net": "nowhere"}, {"cwd": "x"}, {"overlay": True}, {"uid": -1}, {"uid": 1 << 32},
        {"hostname": "x" * 65}, {"engine": "fast"}, {"dirs": {"relative": "/usr"}}, {"env": {"A=": "x"}}, {"open_files": 2},
    ],
)  # fmt: skip
def test_keywords_that_make_no_sense_are_value_errors(words: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        vx32py.Jail(**words)
