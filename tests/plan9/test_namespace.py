"""Name spaces behave as bind(2), namespace(4) and "The Use of Name Spaces in Plan 9" say."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vx32py.plan9.chan import DMDIR, OEXCL, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE
from vx32py.plan9.errors import Error
from vx32py.plan9.host import Host
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.namespace import MAFTER, MBEFORE, MCREATE, MOST_MOUNTS, MREPL
from vx32py.plan9.naming import create_file, find_directory, name_error
from vx32py.plan9.paths import clean


@pytest.fixture
def host() -> Iterator[Host]:
    """A name space with a tree in memory at /t: directories a, b and c, each with a file "own" and one of all, "same"."""
    with Kernel(engine="reference") as kernel:
        yield with_tree(kernel)


def with_tree(kernel: Kernel) -> Host:
    host = kernel.host
    host.make_directory("#ktree/t")
    host.bind("#ktree/t", "/n", MREPL | MCREATE)
    for name in "abc":
        host.make_directory(f"/n/{name}")
        host.write(f"/n/{name}/{name}", name.encode())
        host.write(f"/n/{name}/same", name.encode())
    return host


def names(host: Host, path: str) -> list[str]:
    return [entry.name for entry in host.entries(path)]


def fails(host: Host, action: str, *arguments: object) -> str:
    with pytest.raises(Error) as error:
        getattr(host, action)(*arguments)
    return error.value.text


# -- bind(2) -----------------------------------------------------------------------------------------------------------


def test_mrepl_hides_what_was_there(host: Host) -> None:
    host.bind("/n/a", "/n/b", MREPL)
    assert names(host, "/n/b") == ["a", "same"]
    assert host.read("/n/b/same") == b"a"
    assert fails(host, "read", "/n/b/b") == "'/n/b/b' file does not exist"


def test_mbefore_is_searched_first_and_mafter_last(host: Host) -> None:
    host.bind("/n/a", "/n/b", MBEFORE)
    assert names(host, "/n/b") == ["a", "same", "b", "same"]
    assert host.read("/n/b/same") == b"a"
    host.bind("/n/c", "/n/b", MAFTER)
    assert names(host, "/n/b") == ["a", "same", "b", "same", "c", "same"]
    assert [host.read(f"/n/b/{each}") for each in ("a", "b", "c", "same")] == [b"a", b"b", b"c", b"a"]


def test_a_later_mrepl_takes_a_union_away(host: Host) -> None:
    host.bind("/n/a", "/n/b", MBEFORE)
    host.bind("/n/c", "/n/b", MREPL)
    assert names(host, "/n/b") == ["c", "same"]


def test_files_are_created_where_mcreate_says(host: Host) -> None:
    host.bind("/n/a", "/n/b", MBEFORE)
    assert fails(host, "write", "/n/b/new", b"") == "mounted directory forbids creation"
    host.bind("/n/c", "/n/b", MAFTER | MCREATE)
    host.write("/n/b/new", b"here")
    assert names(host, "/n/c") == ["c", "same", "new"]
    assert "new" not in names(host, "/n/a")
    assert host.read("/n/b/new") == b"here"


def test_to_write_a_file_that_is_in_a_union_no_mcreate_is_needed(host: Host) -> None:
    host.bind("/n/a", "/n/b", MAFTER)
    host.write("/n/b/a", b"changed")
    assert host.read("/n/a/a") == b"changed"


def test_a_union_that_is_bound_elsewhere_stays_one(host: Host) -> None:
    host.bind("/n/a", "/n/b", MBEFORE)
    host.bind("/n/b", "/mnt", MREPL)
    assert names(host, "/mnt") == ["a", "same", "b", "same"]
    assert fails(host, "bind", "/n/b", "/net", MREPL | MCREATE) == "inconsistent mount"


def test_files_can_be_bound_but_only_in_place_of_files(host: Host) -> None:
    host.bind("/n/a/a", "/n/b/b")
    assert host.read("/n/b/b") == b"a"
    assert host.read("/n/a/a") == b"a"
    assert fails(host, "bind", "/n/a/a", "/n/c") == "inconsistent mount"
    assert fails(host, "bind", "/n/a", "/n/c/c") == "inconsistent mount"
    assert fails(host, "bind", "/n/a/a", "/n/c/c", MBEFORE) == "inconsistent mount"


def test_a_later_bind_goes_to_the_original_not_to_what_is_mounted_there(host: Host) -> None:
    host.bind("/n/a", "/n/b", MREPL)
    host.bind("/n/c", "/n/b", MAFTER)
    assert names(host, "/n/b") == ["a", "same", "c", "same"]
    assert names(host, "/n/a") == ["a", "same"]  # which is not a mount point


def test_unmount_takes_one_or_all(host: Host) -> None:
    def unmount(new: str | None, old: str) -> None:
        async def go() -> None:
            from vx32py.plan9 import naming

            target = await naming.find_mount_point(host, old)
            mounted = await naming.open_file(host, new, OREAD) if new is not None else None
            host.names.unmount(target, mounted)

        host.do(go())

    host.bind("/n/a", "/n/b", MBEFORE)
    host.bind("/n/c", "/n/b", MAFTER)
    unmount("/n/c", "/n/b")
    assert names(host, "/n/b") == ["a", "same", "b", "same"]
    with pytest.raises(Error, match="not in union"):
        unmount("/n/c", "/n/b")
    unmount(None, "/n/b")
    assert names(host, "/n/b") == ["b", "same"]
    with pytest.raises(Error, match="not mounted"):
        unmount(None, "/n/b")


def test_a_listing_shows_a_mount_point_as_what_is_mounted_there(host: Host) -> None:
    before = {entry.name: entry.qid for entry in host.entries("/n")}
    host.bind("/n/a", "/n/b")
    after = {entry.name: entry.qid for entry in host.entries("/n")}
    assert after == {**before, "b": before["a"]}
    assert host.stat("/n/b").name == "b"


def test_a_name_space_of_ones_own_begins_as_a_copy(host: Host) -> None:
    host.bind("/n/a", "/n/b")
    other = host.names.clone()
    mine, host.names = host.names, other
    host.bind("/n/c", "/n/a")
    assert names(host, "/n/b") == ["a", "same"]  # what was bound is the directory, not its name
    assert names(host, "/n/a") == ["c", "same"]
    host.names = mine
    assert names(host, "/n/a") == ["a", "same"]
    host.names = mine.empty()
    assert names(host, "/n") == []


def test_who_may_not_mount_can_only_attach_what_is_its_own(host: Host) -> None:
    host.names.noattach = True
    assert fails(host, "read", "#k/x") == "mount/attach disallowed"
    assert "user" in names(host, "#e")
    assert host.names.clone().noattach


def test_a_name_space_has_an_end(host: Host) -> None:
    for _ in range(MOST_MOUNTS - len(host.names.listed()) - 2):
        host.bind("/n/a", "/n/b", MBEFORE)
    assert fails(host, "bind", "/n/a", "/n/b", MBEFORE) == "kernel allocate failed"
    host.bind("/n/a", "/n/b", MREPL)
    host.bind("/n/a", "/n/b", MBEFORE)


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "empty file name"),
        ("/n/x", "'/n/x' file does not exist"),
        ("/n/x/y/z", "'/n/x' file does not exist"),
        ("/n/a/a/y", "'/n/a/a' not a directory"),
        ("/n/a/a/", "'/n/a/a' not a directory"),
        ("/n/a/a/.", "'/n/a/a' not a directory"),
        ("//n///a/./x", "'//n///a/./x' file does not exist"),
        ("x", "'x' file does not exist"),
        ("#Q/x", "unknown device in # filename"),
        ("#Mx", "mount/attach disallowed"),
        ("#cx", "bad attach specifier"),
        ("#c/nothing", "'#c/nothing' file does not exist"),
        ("/n/\x05", "bad character in file name: '/n/\x05'"),
        ("/it's", "'/it''s' file does not exist"),
    ],
)
def test_errors_name_what_was_not_found(host: Host, name: str, text: str) -> None:
    assert fails(host, "read", name) == text


def test_of_long_names_errors_have_the_end() -> None:
    error = name_error("/" + "/".join(["element"] * 40), "file does not exist")
    assert error.text.startswith("'...")
    assert error.text.endswith("element' file does not exist")
    assert len(error.text) < 128
    assert len(name_error("x" * 1000, "file does not exist").text) < 128


def test_create_has_its_rules(host: Host) -> None:
    host.do(create_file(host, "/n/new", OWRITE | OEXCL, 0o666)).close()
    with pytest.raises(Error, match="file already exists"):
        host.do(create_file(host, "/n/new", OWRITE | OEXCL, 0o666))
    with pytest.raises(Error, match=r"^'/n/newer' create without DMDIR$"):
        host.do(create_file(host, "/n/newer/", OWRITE, 0o666))
    with pytest.raises(Error, match="file already exists"):
        host.do(create_file(host, "/", OREAD, DMDIR | 0o777))
    with pytest.raises(Error, match="'/no' file does not exist"):
        host.do(create_file(host, "/no/thing", OWRITE, 0o666))
    with pytest.raises(Error, match="permission denied"):
        host.do(create_file(host, "/n/folder", OWRITE, DMDIR | 0o777))
    host.write("/n/new", b"abc")
    host.do(create_file(host, "/n/new", OWRITE, 0o666)).close()
    assert host.read("/n/new") == b""
    chan = host.do(create_file(host, "/n/brief", ORDWR | ORCLOSE, 0o666))
    assert "brief" in names(host, "/n")
    chan.close()
    assert "brief" not in names(host, "/n")


def test_directories_are_opened_for_reading_only(host: Host) -> None:
    for mode in (OWRITE, ORDWR, OREAD | OTRUNC):
        assert fails(host, "open", "/n/a", mode) in {"permission denied", "file is a directory"}
    assert fails(host, "open", "/n/a", OEXEC) == "'/n/a' cannot exec directory"
    assert fails(host, "open", "/n/a/a", OEXEC) == "permission denied"


def test_a_mount_point_is_not_removed_and_only_empty_directories_are(host: Host) -> None:
    host.bind("/n/a", "/n/b")
    assert fails(host, "remove", "/n/b") == "is a mount point"
    assert fails(host, "remove", "/n/c") == "directory not empty"
    host.remove("/n/c/c")
    host.remove("/n/c/same")
    host.remove("/n/c")
    assert fails(host, "stat", "/n/c") == "'/n/c' file does not exist"


def test_who_is_in_a_directory_sees_what_is_mounted_on_it(host: Host) -> None:
    host.dot = host.do(find_directory(host, "/n/b"))
    host.bind("/n/a", ".")
    assert names(host, ".") == ["a", "same"]
    assert host.read("a") == b"a"
    assert host.read("../c/c") == b"c"


# -- dot-dot (Pike, "Lexical File Names in Plan 9 or Getting Dot-Dot Right") -----------------------------------------


def test_dot_dot_goes_back_through_the_mount_point(host: Host) -> None:
    host.bind("/n/a", "/mnt")
    assert host.read("/mnt/../n/b/b") == b"b"
    host.make_directory("/n/a/deep")
    host.make_directory("/n/a/deep/er")
    host.bind("/n/a/deep/er", "/net")
    assert names(host, "/net/..") == names(host, "/")
    assert names(host, "/n/a/deep/er/..") == ["er"]


PLACES = ["a", "b", "c", "a/d", "b/d", "c/d", "a/d/e"]
BINDS = st.tuples(
    st.sampled_from(PLACES), st.sampled_from(PLACES), st.sampled_from([MREPL, MBEFORE, MAFTER]), st.booleans()
)


class Model:
    """Directories by name, as sets of files and directories; and the rules of bind(2) on them."""

    def __init__(self) -> None:
        self.mounted: dict[str, list[tuple[str, bool]]] = {}

    def real(self, path: str) -> list[tuple[str, bool]]:
        """Which directories are found at a path of existing names, the first first."""
        here = ""
        for name in path.split("/"):
            found = None
            for place, _ in self.at(here):
                candidate = f"{place}/{name}".lstrip("/")
                if candidate in {"", *PLACES}:
                    found = candidate
                    break
            if found is None:
                raise KeyError(path)
            here = found
        return self.at(here)

    def origin(self, path: str) -> str:
        """Where a path leads to, before what is mounted there."""
        folder, _, name = path.rpartition("/")
        for place, _ in self.real(folder) if folder else self.at(""):
            candidate = f"{place}/{name}".lstrip("/")
            if candidate in PLACES:
                return candidate
        raise KeyError(path)

    def at(self, place: str) -> list[tuple[str, bool]]:
        return self.mounted.get(place) or [(place, False)]

    def bind(self, new: str, old: str, order: int, create: bool) -> None:
        origin, source = self.origin(old), self.at(self.origin(new))
        union = self.mounted.get(self.origin(new))
        if create and union and (len(union) > 1 or not union[0][1]):
            raise KeyError("doubtful")
        made = [(source[0][0], create), *((each, False) for each, _ in source[1:])]
        there = [] if order == MREPL else self.mounted.get(origin) or [(origin, False)]
        self.mounted[origin] = [*there, *made] if order == MAFTER else [*made, *there]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(BINDS, max_size=7), st.data())
def test_binds_do_what_the_model_does(binds: list[tuple[str, str, int, bool]], data: st.DataObject) -> None:
    with Kernel(engine="reference") as kernel:
        host, model = kernel.host, Model()
        host.bind("#kmodel", "/n", MREPL | MCREATE)
        for place in PLACES:
            host.make_directory(f"/n/{place}")
            host.write(f"/n/{place}/{place.replace('/', '-')}", place.encode())
        files = {place: place.replace("/", "-") for place in PLACES}
        for new, old, order, create in binds:
            try:
                model.bind(new, old, order, create)
            except KeyError:
                with pytest.raises(Error):
                    host.bind(f"/n/{new}", f"/n/{old}", order | (MCREATE if create else 0))
            else:
                host.bind(f"/n/{new}", f"/n/{old}", order | (MCREATE if create else 0))
        for path in PLACES:
            try:
                expected = model.real(path)
            except KeyError:
                assert fails(host, "entries", f"/n/{path}").endswith("file does not exist")
                continue
            shown = [name for name in names(host, f"/n/{path}") if name in files.values()]
            assert shown == [files[place] for place, _ in expected]
            for place, _ in expected:
                assert host.read(f"/n/{path}/{files[place]}") == place.encode()
            if model.origin(path) in model.mounted and not any(create for _, create in expected):
                assert fails(host, "write", f"/n/{path}/made", b"") == "mounted directory forbids creation"
            else:
                host.write(f"/n/{path}/made", b"")
                assert host.stat(f"/n/{path}/made").name == "made"
                host.remove(f"/n/{path}/made")
            # Dot-dot is lexical: a name and .. lead to where the name was in.
            steps = data.draw(st.lists(st.sampled_from(["..", "."]), max_size=3))
            walked = "/".join([f"/n/{path}", *steps])
            chan = host.open(walked)
            assert str(chan.path) == clean(posixpath.normpath(walked))
            assert names(host, walked) == names(host, posixpath.normpath(walked))
            chan.close()
