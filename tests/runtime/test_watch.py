"""A watched file: every change is seen, half-written ones are not taken, bad ones are reported once."""

import os
import threading
import time
from pathlib import Path

import pytest

from edgezsl.errors import EdgezslError, EmbedderError
from edgezsl.runtime.embed_process import KILLED, EmbedProcess
from edgezsl.runtime.watch import MOST_TRIES, SETTLE_S, ClassSource, ClassWatcher
from tests.factories import colour_prototypes


class Deliveries:
    """Collects what a watcher delivers."""

    def __init__(self) -> None:
        self.got = []
        self._changed = threading.Condition()

    def __call__(self, classes) -> None:
        with self._changed:
            self.got.append(classes)
            self._changed.notify_all()

    def wait_for(self, count, timeout_s=20.0):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.got) >= count, timeout_s), f"only {len(self.got)} came"
        return self.got

    @property
    def names(self):
        return [getattr(one, "names", getattr(one, "code", None)) for one in self.got]


@pytest.fixture
def embedder(small_bundle):
    process = EmbedProcess(small_bundle)
    yield process
    process.close()


@pytest.fixture
def watching(small_bundle, embedder):
    """Start a watcher on a path; return what it delivers into."""
    watchers = []

    def start(path, *, settle_s=0.05):
        source = ClassSource(path, small_bundle.manifest.space, embedder)
        deliveries = Deliveries()
        watcher = ClassWatcher(source, deliveries, settle_s=settle_s)
        watcher.start(source.read())
        watchers.append(watcher)
        return deliveries

    yield start
    for watcher in watchers:
        watcher.close()
        assert not watcher._thread.is_alive()


def replace(path, text) -> None:
    """Replace a file atomically, as editors and provisioning tools do."""
    temporary = path.with_name(".new")
    temporary.write_text(text)
    temporary.replace(path)


def test_an_atomic_replace_becomes_a_class_set(tmp_path, watching):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path)
    replace(path, "- green\n- blue\n")
    assert deliveries.wait_for(1)[0].names == ("green", "blue")


def test_every_one_of_twenty_replaces_is_seen(tmp_path, watching):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path, settle_s=0.01)
    for number in range(20):
        replace(path, f"- red\n- thing {number}\n")
        assert deliveries.wait_for(number + 1)[number].names == ("red", f"thing {number}")


def test_a_write_in_place_is_seen(tmp_path, watching):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path)
    path.write_text("- blue\n")
    assert deliveries.wait_for(1)[0].names == ("blue",)


def test_the_swap_of_a_linked_folder_is_seen(tmp_path, watching):
    """As a mounted ConfigMap does it: the file is a link into a folder that is itself a link, and that one is swapped."""
    for version, colour in (("v1", "red"), ("v2", "green")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "classes.yaml").write_text(f"- {colour}\n")
    (tmp_path / "data").symlink_to("v1")
    path = tmp_path / "classes.yaml"
    path.symlink_to("data/classes.yaml")
    deliveries = watching(path)
    (tmp_path / "next").symlink_to("v2")
    os.replace(tmp_path / "next", tmp_path / "data")  # noqa: PTH105  # Path.replace would follow the link's meaning
    assert deliveries.wait_for(1)[0].names == ("green",)


def test_a_file_written_in_two_parts_half_a_second_apart_is_never_taken_half(tmp_path, watching):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path, settle_s=SETTLE_S)
    for _ in range(2):
        with path.open("w") as file:
            file.write("- green\n- bl")
            file.flush()
            time.sleep(0.5)
            file.write("ue\n- cyan\n")
        deliveries.wait_for(1)
    assert set(deliveries.names) == {("green", "blue", "cyan")}


def test_the_same_content_again_is_not_delivered_again(tmp_path, watching):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path)
    replace(path, "- red\n")
    replace(path, "- green\n")
    deliveries.wait_for(1)
    replace(path, "- green\n")
    replace(path, "- blue\n")
    deliveries.wait_for(2)
    assert deliveries.names == [("green",), ("blue",)]


@pytest.mark.parametrize(
    ("content", "code"),
    [("", "empty"), ("- red\n- red\n", "duplicate_name"), ("a: [", "not_yaml"), ("[]", "no_classes")],
)
def test_a_bad_file_is_reported_once_and_a_good_one_after_it_is_taken(tmp_path, watching, content, code):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path)
    replace(path, content)
    assert deliveries.wait_for(1)[0].code == code
    path.touch()
    replace(path, content)
    time.sleep(0.3)
    replace(path, "- blue\n")
    deliveries.wait_for(2)
    assert deliveries.names == [code, ("blue",)]


def test_a_deleted_file_is_reported_once_and_taken_again_when_it_is_back(tmp_path, watching):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path)
    path.unlink()
    assert deliveries.wait_for(1)[0].code == "not_found"
    replace(path, "- blue\n")
    assert deliveries.wait_for(2)[1].names == ("blue",)


@pytest.mark.parametrize("put", [lambda path: path.mkdir(), os.mkfifo])
def test_a_folder_or_fifo_in_its_place_neither_blocks_nor_changes_anything(tmp_path, watching, put):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path)
    path.rename(tmp_path / "away")
    put(path)
    got = deliveries.wait_for(1)
    assert isinstance(got[-1], EdgezslError)
    path.rename(tmp_path / "odd")
    replace(path, "- blue\n")
    deliveries.wait_for(len(got) + 1)
    assert deliveries.got[-1].names == ("blue",)


def test_a_pack_is_watched_like_a_class_file_and_needs_no_child(tmp_path, watching, embedder):
    path = tmp_path / "classes.safetensors"
    colour_prototypes("red").write(path)
    deliveries = watching(path)
    colour_prototypes("green", "blue").write(path)
    assert deliveries.wait_for(1)[0].names == ("green", "blue")
    assert embedder.pid is None


def test_a_folder_that_is_replaced_whole_is_still_followed(tmp_path, watching):
    folder = tmp_path / "config"
    folder.mkdir()
    path = folder / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path)
    folder.rename(tmp_path / "old")
    folder.mkdir()
    path.write_text("- blue\n")
    if deliveries.wait_for(1) and deliveries.names == ["not_found"]:  # it looked in between, and said so
        deliveries.wait_for(2)
    assert deliveries.names[-1] == ("blue",)


def test_a_fault_inside_the_file_is_reported_once_and_so_is_its_deletion_afterwards(tmp_path, watching):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = watching(path)
    replace(path, "- {name: rose, examples: [nowhere.png]}\n")
    assert deliveries.wait_for(1)[0].code == "not_found"
    path.touch()
    time.sleep(0.4)
    path.unlink()
    deliveries.wait_for(2)
    replace(path, "- blue\n")
    deliveries.wait_for(3)
    assert deliveries.names == ["not_found", "not_found", ("blue",)]


class Killed(ClassSource):
    """A class source whose child the system kills so many times for want of memory."""

    def __init__(self, path, times) -> None:
        super().__init__(path, None, None)
        self.times = times
        self.asked = 0

    def prototypes(self, data):
        self.asked += 1
        if self.asked <= self.times:
            raise EmbedderError("the child process ended by signal SIGKILL", code=KILLED)
        return colour_prototypes("green")


@pytest.mark.parametrize(("times", "expected"), [(1, [KILLED, ("green",)]), (9, [KILLED])])
def test_a_file_whose_child_was_killed_is_reported_once_and_tried_again_a_few_times(tmp_path, times, expected):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    source, deliveries = Killed(path, times), Deliveries()
    watcher = ClassWatcher(source, deliveries, settle_s=0.02)
    watcher.start(source.read())
    replace(path, "- green\n")
    deliveries.wait_for(len(expected))
    deadline = time.monotonic() + 20
    while watcher._tries:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    watcher.close()
    assert deliveries.names == expected
    assert source.asked == min(times + 1, MOST_TRIES)


def test_closing_the_source_first_ends_a_watcher_that_waits_for_its_child(tmp_path, small_bundle, embedder):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    source = ClassSource(path, small_bundle.manifest.space, embedder)
    watcher = ClassWatcher(source, Deliveries(), settle_s=0.02)
    watcher.start(source.read())
    replace(path, "".join(f"- red {number}\n" for number in range(50_000)))  # takes seconds
    deadline = time.monotonic() + 20
    while embedder.pid is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    pid = embedder.pid
    source.close()
    watcher.close()
    assert not Path(f"/proc/{pid}").exists()


def test_a_defect_while_reading_is_reported_and_the_watcher_lives(tmp_path, small_bundle):
    class Defective(ClassSource):
        def prototypes(self, data):
            if b"boom" in data:
                raise ZeroDivisionError("a defect")
            return colour_prototypes("red")

    path = tmp_path / "classes.yaml"
    path.write_text("- red\n")
    deliveries = Deliveries()
    watcher = ClassWatcher(Defective(path, small_bundle.manifest.space, None), deliveries, settle_s=0.02)
    watcher.start(path.read_bytes())
    replace(path, "- boom\n")
    deliveries.wait_for(1)
    replace(path, "- green\n")
    deliveries.wait_for(2)
    watcher.close()
    assert deliveries.names == ["internal", ("red",)]
