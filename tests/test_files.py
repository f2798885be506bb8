import os
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgezsl.errors import PackError
from edgezsl.files import read_regular, sibling, write_durably


def inside(folder):
    """Return the names of what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def refusal(path, max_bytes=100, **options):
    with pytest.raises(PackError) as caught:
        read_regular(path, max_bytes=max_bytes, error=PackError, **options)
    return caught.value


def test_a_file_up_to_the_cap_is_read_whole(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(100))
    assert read_regular(path, max_bytes=100, error=PackError) == bytes(100)


def test_a_file_one_byte_above_the_cap_is_refused(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(bytes(101))
    error = refusal(path)
    assert (error.code, error.where.file) == ("too_large", str(path))


def test_an_empty_file_is_empty(tmp_path):
    (tmp_path / "f").touch()
    assert read_regular(tmp_path / "f", max_bytes=1, error=PackError) == b""


def test_a_file_of_the_kernel_that_claims_no_length_is_read():
    assert b"processor" in read_regular(Path("/proc/cpuinfo"), max_bytes=1 << 20, error=PackError)


def test_a_small_file_needs_little_memory_whatever_the_cap_is(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    program = (
        "import resource, sys; from pathlib import Path; from edgezsl.errors import PackError;"
        "from edgezsl.files import read_regular;"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30));"
        "assert read_regular(Path(sys.argv[1]), max_bytes=4 << 30, error=PackError) == b'abc'"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "f")], check=True, timeout=60)


def test_what_is_not_a_regular_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to_folder").symlink_to(tmp_path / "folder")
    for path in (tmp_path / "fifo", tmp_path / "folder", tmp_path / "to_folder", Path("/dev/zero")):
        assert refusal(path).code == "not_a_file", path


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert refusal(Path("s")).code == "not_readable"


def test_a_symbolic_link_is_followed_only_where_that_is_allowed(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    assert read_regular(tmp_path / "link", max_bytes=3, error=PackError) == b"abc"
    assert refusal(tmp_path / "link", follow=False).code == "not_a_file"


@pytest.mark.parametrize(
    ("name", "code"),
    [("absent", "not_found"), ("f/below", "not_found"), ("a\0b", "not_found"), ("a" * 300, "not_readable")],
)
def test_a_path_that_leads_nowhere_is_refused(tmp_path, name, code):
    (tmp_path / "f").touch()
    assert refusal(tmp_path / name).code == code


def test_a_file_that_fails_while_it_is_read_is_refused():
    assert refusal(Path("/proc/self/mem")).code == "not_readable"


def test_a_refusal_leaves_no_descriptor_open(tmp_path):
    before = inside(Path("/proc/self/fd"))
    for path in (tmp_path, Path("/dev/zero"), Path("/proc/self/mem"), tmp_path / "absent"):
        refusal(path)
    assert inside(Path("/proc/self/fd")) == before


def test_a_durable_write_replaces_the_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "f"
    write_durably(path, b"old")
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert inside(tmp_path) == ["f"]


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))  # what a full disk looks like
    try:
        with pytest.raises(OSError, match="large"):
            write_durably(path, bytes(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_bytes() == b"old"
    assert inside(tmp_path) == ["f"]


@pytest.mark.parametrize("name", ["absent/f", "folder"])
def test_what_cannot_be_written_raises_oserror(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  # which one is the system's business
        write_durably(tmp_path / name, b"x")
    assert inside(tmp_path) == ["folder"]


@pytest.mark.parametrize("path", [Path("/"), Path()])
def test_a_path_without_a_name_of_its_own_cannot_be_written(path):
    with pytest.raises(IsADirectoryError):
        write_durably(path, b"x")


def test_the_leftover_of_a_crash_does_not_stop_a_write(tmp_path):
    (tmp_path / f".f.{os.getpid()}.part").write_bytes(b"half")
    write_durably(tmp_path / "f", b"whole")
    assert (tmp_path / "f").read_bytes() == b"whole"


def test_two_threads_may_write_one_file(tmp_path):
    path, contents = tmp_path / "f", [bytes([number]) * 1000 for number in range(4)]
    failures = []

    def write(data):
        try:
            for _ in range(10):
                write_durably(path, data)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(data,)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert path.read_bytes() in contents
    assert inside(tmp_path) == ["f"]


def test_a_sibling_is_hidden_and_new_each_time(tmp_path):
    first, second = sibling(tmp_path / "f", "part"), sibling(tmp_path / "f", "part")
    assert first != second
    assert first.parent == tmp_path
    assert first.name.startswith(".f.")
