import hashlib
import http.server
import io
import re
import socket
import stat
import struct
import tarfile
import threading
import zipfile
from contextlib import contextmanager

import pytest

from codistill.data.download import check_free, extract, fetch

BODY = bytes(range(256)) * 1000
MD5, SHA256 = hashlib.md5(BODY).hexdigest(), hashlib.sha256(BODY).hexdigest()


@contextmanager
def serving(ranges=True, cut=None, body=BODY, once=False, reset=False):
    """A server on this machine; gives its address and the list of the ranges that were asked for.

    It may end the connection at the byte ``cut``, the first time or always, in good order or with a reset.
    """
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self):
            wanted = self.headers["Range"]
            asked.append(wanted)
            if self.path != "/file":
                return self.send_error(404)
            first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and ranges else 0
            if first >= len(body):
                return self.send_error(416)
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - first))
            self.end_headers()
            self.wfile.write(body[first : None if once and len(asked) > 1 else cut])
            if reset and len(asked) == 1:
                self.wfile.flush()
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/file", asked
        finally:
            server.shutdown()
            thread.join(timeout=10)


@pytest.fixture(autouse=True)
def _straight_to_this_machine(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def dest(tmp_path):
    return tmp_path / "deep" / "file.bin"


def part(dest):
    dest.parent.mkdir(parents=True, exist_ok=True)
    return dest.with_name("file.bin.part")


def test_a_file_arrives_whole_and_leaves_no_part(dest):
    with serving() as (url, _):
        assert fetch(url, dest, md5=MD5, sha256=SHA256) == dest
    assert dest.read_bytes() == BODY
    assert list(dest.parent.iterdir()) == [dest]


def test_progress_is_shown_on_stderr_only_where_it_is_wanted(dest, capsys):
    with serving() as (url, _):
        fetch(url, dest, progress=True)
        shown = capsys.readouterr()
        dest.unlink()
        fetch(url, dest, progress=False)
    assert "file.bin" in shown.err
    assert not shown.out
    assert not capsys.readouterr().err


def test_a_file_that_is_there_is_not_fetched_again(dest):
    with serving() as (url, asked):
        fetch(url, dest, md5=MD5)
        fetch(url, dest, md5=MD5)
    assert len(asked) == 1


def test_a_file_with_another_hash_is_fetched_anew(dest):
    part(dest)
    dest.write_bytes(b"old")
    with serving() as (url, _):
        fetch(url, dest, md5=MD5)
    assert dest.read_bytes() == BODY


def test_a_download_goes_on_where_it_stopped(dest):
    part(dest).write_bytes(BODY[:1000])
    with serving() as (url, asked):
        fetch(url, dest, sha256=SHA256)
    assert asked == ["bytes=1000-"]
    assert dest.read_bytes() == BODY


def test_a_server_that_ignores_ranges_starts_over(dest):
    part(dest).write_bytes(b"x" * 1000)
    with serving(ranges=False) as (url, asked):
        fetch(url, dest, md5=MD5)
    assert asked == ["bytes=1000-"]
    assert dest.read_bytes() == BODY


def test_a_part_that_is_too_long_starts_over(dest):
    part(dest).write_bytes(BODY + b"more")
    with serving() as (url, asked):
        fetch(url, dest, md5=MD5)
    assert asked == [f"bytes={len(BODY) + 4}-", None]
    assert dest.read_bytes() == BODY


def test_a_broken_connection_says_so_and_the_next_call_finishes(dest):
    with serving(cut=70_000) as (url, _), pytest.raises(OSError, match=f"ended after 70000 of {len(BODY)}"):
        fetch(url, dest, md5=MD5)
    assert not dest.exists()
    with serving() as (url, asked):
        fetch(url, dest, md5=MD5)
    assert asked == ["bytes=70000-"]
    assert dest.read_bytes() == BODY


def test_a_connection_that_is_cut_once_is_taken_up_again_at_once(dest):
    with serving(cut=70_000, once=True) as (url, asked):
        fetch(url, dest, sha256=SHA256)
    assert asked == [None, "bytes=70000-"]
    assert dest.read_bytes() == BODY


def test_a_connection_that_is_reset_is_taken_up_again(dest):
    with serving(cut=200_000, once=True, reset=True) as (url, asked):
        fetch(url, dest, sha256=SHA256)
    assert len(asked) == 2
    assert dest.read_bytes() == BODY


def test_a_server_without_ranges_that_always_cuts_is_not_asked_for_ever(dest):
    with serving(ranges=False, cut=70_000) as (url, asked), pytest.raises(OSError, match="ended after 70000 of"):
        fetch(url, dest, md5=MD5)
    assert asked == [None, "bytes=70000-"]
    with serving(ranges=False) as (url, _):
        assert fetch(url, dest, md5=MD5).read_bytes() == BODY


@pytest.mark.parametrize("hashes", [{"md5": "0" * 32}, {"sha256": "0" * 64}])
def test_a_wrong_hash_removes_what_arrived(dest, hashes):
    name, value = next(iter(hashes.items()))
    with serving() as (url, _), pytest.raises(ValueError, match=f"its {name} is .*, not {value}; .*removed"):
        fetch(url, dest, **hashes)
    assert not list(dest.parent.iterdir())


def test_what_is_not_there_names_the_address_and_the_way_out(dest):
    with serving() as (url, _), pytest.raises(OSError, match=f"{url}s cannot be fetched.*404.*put the file at {dest}"):
        fetch(f"{url}s", dest)


def archive(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_an_archive_is_unpacked(tmp_path):
    extract(archive(tmp_path / "a.tar.gz", (tarfile.TarInfo("in/file"), b"hello")), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["in"]
    assert (tmp_path / "out" / "in" / "file").read_bytes() == b"hello"


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_what_is_there_already_is_named_and_nothing_is_moved(tmp_path, kind):
    out, names = tmp_path / "out", ["0/file", "a/file", "z"]
    if kind == "zip":
        path = zipped(tmp_path / "a.zip", *((name, b"new") for name in names))
    else:
        path = archive(tmp_path / "a.tar.gz", *((tarfile.TarInfo(name), b"new") for name in names))
    (out / "a").mkdir(parents=True)
    (out / "a" / "half").write_text("old")
    with pytest.raises(FileExistsError) as error:
        extract(path, out)
    assert str(error.value).startswith(f"{out / 'a'} exists already and is not overwritten: remove it or move it")
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*")) == ["a", "a/half"]
    (out / "a").rename(tmp_path / "away")
    extract(path, out)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*")) == ["0", "0/file", "a", "a/file", "z"]


@pytest.mark.parametrize("put", [lambda p: p.write_text("old"), lambda p: p.symlink_to("nowhere"), lambda p: p.mkdir()])
def test_a_place_is_free_only_where_nothing_is(tmp_path, put):
    check_free(tmp_path / "a", tmp_path / "b")
    put(tmp_path / "b")
    with pytest.raises(FileExistsError, match=f"^{tmp_path / 'b'} exists already"):
        check_free(tmp_path / "a", tmp_path / "b")


def link(name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


UNSAFE = [
    tarfile.TarInfo("../evil"),
    link("evil", "../../etc/passwd"),
    link("evil", "/etc/passwd"),
    special("evil", tarfile.LNKTYPE, "../../etc/passwd"),
    special("evil", tarfile.CHRTYPE),
    special("evil", tarfile.FIFOTYPE),
]


@pytest.mark.parametrize("member", UNSAFE, ids=lambda member: f"{member.type} {member.name} {member.linkname}")
def test_an_archive_cannot_reach_outside(tmp_path, member):
    path = archive(tmp_path / "a.tar.gz", (tarfile.TarInfo("good"), b"x"), (member, b""))
    with pytest.raises(ValueError, match=r"a\.tar\.gz: unsafe member.*evil"):
        extract(path, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep" / "evil").exists()
    assert not list((tmp_path / "deep" / "out").iterdir())


@pytest.mark.parametrize("keep", [0, 10, 60])
def test_a_damaged_archive_is_named(tmp_path, keep):
    path = archive(tmp_path / "a.tar.gz", (tarfile.TarInfo("file"), bytes(range(256)) * 20))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a\.tar\.gz: not a tar file, or a damaged one"):
        extract(path, tmp_path / "out")


def test_an_absolute_path_of_an_archive_lands_inside(tmp_path):
    extract(archive(tmp_path / "a.tar", (tarfile.TarInfo("/top/file"), b"x")), tmp_path / "out")
    assert (tmp_path / "out" / "top" / "file").read_bytes() == b"x"


def zipped(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member, content in members:
            file.writestr(member, content)
    return path


def test_a_zip_file_is_unpacked(tmp_path):
    extract(zipped(tmp_path / "a.zip", ("in/file", b"hello"), ("in/deep/", b"")), tmp_path / "out")
    assert (tmp_path / "out" / "in" / "file").read_bytes() == b"hello"
    assert (tmp_path / "out" / "in" / "deep").is_dir()


def zip_link():
    info = zipfile.ZipInfo("evil")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize("member", ["../evil", "in/../../evil", "..\\evil", "/evil", "C:/evil", zip_link()])
def test_a_zip_file_cannot_reach_outside(tmp_path, member):
    path = zipped(tmp_path / "a.zip", ("good", b"x"), (member, b"../../etc/passwd"))
    with pytest.raises(ValueError, match=r"a\.zip: unsafe member, not unpacked: .*evil"):
        extract(path, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("*evil*"))
    assert not list((tmp_path / "deep" / "out").iterdir())


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_damaged_zip_file_is_named(tmp_path, keep):
    path = zipped(tmp_path / "a.zip", ("file", bytes(range(256)) * 20))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a\.zip: not a zip file, or a damaged one.*fetch it again"):
        extract(path, tmp_path / "out")


def test_a_zip_file_with_wrong_content_is_named(tmp_path):
    path = zipped(tmp_path / "a.zip", ("file", bytes(range(256)) * 20))
    raw = bytearray(path.read_bytes())
    raw[60] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"a\.zip: not a zip file, or a damaged one"):
        extract(path, tmp_path / "out")
