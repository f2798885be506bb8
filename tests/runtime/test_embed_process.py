"""Class files are read and embedded in a child: it may die, hang or be idle, and nothing else notices."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgezsl.bundle import Bundle
from edgezsl.classes import ClassFile
from edgezsl.errors import BundleError, ClassFileError, EmbedderError
from edgezsl.runtime.embed_child import ChildLimits
from edgezsl.runtime.embed_process import KILLED, EmbedProcess
from edgezsl.runtime.recognizer import SHORT_DIGEST
from edgezsl.strict_yaml import YamlLimits
from tests.corpus.beside import PATIENCE_S, stream_beside
from tests.factories import COLOURS, bundle_files, colour_prototypes, small_manifest, write_small_bundle

GOOD = b"- red\n- blue\n"
BROKEN = b"classes:\n  - name: cat\n    threshold: low\n"
# At every word libyaml looks at all the brackets that are open: seconds of work in a legal size, also below the depth
# of 1,000 at which its version 0.2.6 gives up. Our cap keeps such a file from the parser, so the test has to lift it.
DEADLY = b"[" * 900 + b"a," * 900_000
LONG = b"".join(b"- red %d\n" % number for number in range(50_000))  # takes seconds to embed


@pytest.fixture
def process(small_bundle):
    opened = EmbedProcess(small_bundle)
    yield opened
    opened.close()


@pytest.fixture
def make_process(small_bundle):
    """Open processes with limits of the test's choice, and close them at its end."""
    opened = []

    def make(**limits):
        opened.append(EmbedProcess(small_bundle, limits=ChildLimits(**limits)))
        return opened[-1]

    yield make
    for process in opened:
        process.close()


def embed(process, data=GOOD, file="classes.yaml", folder=Path()):
    return process.embed(data, file=file, folder=folder)


def refusal(process, data, error=ClassFileError):
    with pytest.raises(error) as caught:
        embed(process, data)
    return caught.value


def mapped_libraries(pid):
    return Path(f"/proc/{pid}/maps").read_text()


def is_alive(pid):
    return Path(f"/proc/{pid}").exists()


def wait_until(condition):
    """Wait for something that happens in another process; its failure shows as an assertion, not as a hang."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_no_child_is_started_before_there_is_a_file(process):
    assert process.pid is None


def test_one_child_answers_one_file_after_the_other(process):
    assert embed(process).names == ("red", "blue")
    pid = process.pid
    assert embed(process, b"- {name: sky, synonyms: [blue, cyan]}").names == ("sky",)
    assert process.pid == pid
    assert pid not in {None, os.getpid()}


def test_a_refusal_crosses_with_every_field(process):
    fault = refusal(process, BROKEN)
    with pytest.raises(ClassFileError) as caught:
        ClassFile.parse(BROKEN, file="classes.yaml")
    assert fault.to_json() == caught.value.to_json()
    assert (fault.code, fault.where.line, fault.where.field) == ("not_a_number", 3, "classes[0].threshold")


def test_a_refusal_leaves_the_child_as_it_was(process):
    embed(process)
    pid = process.pid
    refusal(process, BROKEN)
    assert embed(process).names == ("red", "blue")
    assert process.pid == pid


def test_the_child_loads_nothing_heavy_for_a_file_that_it_refuses(process):
    refusal(process, BROKEN)
    libraries = mapped_libraries(process.pid)
    for package in ("numpy", "onnxruntime", "tokenizers"):
        assert package not in libraries
    embed(process)
    libraries = mapped_libraries(process.pid)
    for package in ("numpy", "onnxruntime", "tokenizers"):
        assert package in libraries


def test_the_process_of_the_stream_loads_neither_parser_nor_text_encoder(small_bundle):
    code = (
        "import sys; from pathlib import Path; from edgezsl.bundle import Bundle\n"
        "from edgezsl.runtime.embed_process import KILLED, EmbedProcess\n"
        f"process = EmbedProcess(Bundle.open(Path({str(small_bundle.folder)!r})))\n"
        "print(process.embed(b'- red', file='c.yaml', folder=Path()).names)\n"
        "process.close()\n"
        "print(sorted({'yaml', 'tokenizers', 'onnxruntime', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["('red',)", "[]"]


def test_the_child_gives_way_to_the_stream(process):
    embed(process)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip() == "1000"
    # Nice counts among the processes of one session only, where Linux groups tasks by session.
    assert os.getsid(process.pid) == os.getsid(0)


def test_ctrl_c_at_the_terminal_leaves_the_child_to_its_parent(process):
    embed(process)
    pid = process.pid
    os.kill(pid, signal.SIGINT)
    assert embed(process, b"- cyan\n").names == ("cyan",)
    assert process.pid == pid


def test_pictures_are_found_below_the_folder_of_the_file(process, tmp_path, monkeypatch):
    import cv2

    from tests.factories import colour_frame

    (tmp_path / "classes").mkdir()
    cv2.imwrite(str(tmp_path / "classes" / "red.png"), colour_frame("red")[..., ::-1])
    monkeypatch.chdir(tmp_path)
    assert embed(process, b"- {name: rose, examples: [red.png]}", folder=Path("classes")).names == ("rose",)


# --- the child's end -------------------------------------------------------------------------------------------------


def test_bytes_that_kill_the_child_cost_the_child_and_nothing_else(small_bundle, make_process):
    process = make_process(cpu_s=1, yaml=YamlLimits(depth=10**9))
    with stream_beside(small_bundle, colour_prototypes()) as stream:
        embed(process)
        victim = process.pid
        fault = refusal(process, DEADLY, EmbedderError)
        # What waitpid said of the child: it did not exit, the kernel ended it.
        assert process._status == -signal.SIGXCPU
        assert not is_alive(victim)
        assert fault.code == "embedder_died"
        assert "SIGXCPU" in fault.message
        assert fault.where.file == "classes.yaml"
        assert fault.hint

        stream.told(fault, "classes.yaml")
        assert stream.still_answers()
        assert stream.digests == {colour_prototypes().digest[:SHORT_DIGEST]}
        taken = embed(process, b"- cyan\n- white\n")
        assert process.pid not in {victim, None}
        stream.told(taken, "classes.yaml")
        assert stream.still_answers()
        assert stream.digests == {colour_prototypes().digest[:SHORT_DIGEST], taken.digest[:SHORT_DIGEST]}


def test_a_child_that_is_killed_at_work_is_reported_by_its_signal_and_replaced(process):
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(embed, process, LONG)
        wait_until(lambda: process.pid is not None)
        victim = process.pid
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(EmbedderError, match="ended by signal SIGKILL") as caught:
            asked.result()
    assert caught.value.code == KILLED
    assert embed(process).names == ("red", "blue")
    assert process.pid != victim


def test_a_child_that_was_killed_at_rest_is_replaced_without_a_word(process):
    embed(process)
    victim = process.pid
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: process.pid is None)
    assert embed(process).names == ("red", "blue")
    assert process.pid != victim


def test_a_child_that_runs_out_of_memory_is_reported_with_its_last_words(make_process):
    process = make_process(address_space=100 << 20)
    fault = refusal(process, b"[" + b"a," * 600_000 + b"]", EmbedderError)
    assert fault.code == "embedder_died"
    assert "exit status 1" in fault.message
    assert fault.got == "MemoryError"
    assert refusal(process, BROKEN).code == "not_a_number"


def test_a_child_that_hangs_is_ended_when_its_time_is_over(make_process):
    process = make_process(timeout_s=1.0)
    refusal(process, BROKEN)
    victim = process.pid
    os.kill(victim, signal.SIGSTOP)
    fault = refusal(process, GOOD, EmbedderError)
    assert (fault.code, fault.where.file) == ("embedder_timeout", "classes.yaml")
    assert process.pid is None
    assert not is_alive(victim)


def test_a_large_file_that_a_hanging_child_does_not_even_read_is_given_up_in_time_too(make_process):
    process = make_process(timeout_s=1.0)
    refusal(process, BROKEN)
    os.kill(process.pid, signal.SIGSTOP)
    assert refusal(process, b"- a name\n" * 50_000, EmbedderError).code == "embedder_timeout"  # more than a pipe holds
    assert process.pid is None


def test_a_child_ends_when_its_parent_is_killed_in_the_middle_of_a_file(small_bundle, tmp_path):
    long = tmp_path / "classes.yaml"
    long.write_bytes(LONG)
    code = (
        "import threading; from pathlib import Path; from edgezsl.bundle import Bundle\n"
        "from edgezsl.runtime.embed_process import KILLED, EmbedProcess\n"
        f"process = EmbedProcess(Bundle.open(Path({str(small_bundle.folder)!r})))\n"
        f"data = Path({str(long)!r}).read_bytes()\n"
        "threading.Thread(target=process.embed, args=(data,), kwargs={'file': 'c', 'folder': Path()}).start()\n"
        "while process.pid is None: pass\n"
        "print(process.pid, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: not is_alive(child) or "State:\tZ" in Path(f"/proc/{child}/status").read_text())


def test_an_idle_child_gives_its_memory_back_and_is_started_again(make_process):
    process = make_process(idle_s=0.2)
    embed(process)
    first = process.pid
    wait_until(lambda: process.pid is None)
    assert embed(process).names == ("red", "blue")
    assert process._status == 0
    assert process.pid not in {first, None}


def test_a_request_that_meets_the_child_as_it_ends_is_answered_by_the_next_one(make_process):
    process = make_process(idle_s=0.0)  # the child ends at once after each answer
    for _ in range(12):
        assert refusal(process, BROKEN).code == "not_a_number"


def test_texts_that_a_child_encoded_are_known_to_the_next_one(make_process):
    process = make_process(idle_s=0.2)
    before = embed(process)
    wait_until(lambda: process.pid is None)
    after = embed(process)
    assert after.to_bytes() == before.to_bytes()
    # The second child read and mapped the classes without ever loading the tokenizer: there was nothing to encode.
    libraries = mapped_libraries(process.pid)
    assert "onnxruntime" in libraries
    assert "tokenizers" not in libraries
    embed(process, b"- yellow")
    assert "tokenizers" in mapped_libraries(process.pid)


def test_a_bundle_that_was_replaced_is_not_mixed_with_the_one_that_runs(tmp_path):
    bundle = write_small_bundle(tmp_path / "bundle")
    process = EmbedProcess(bundle)
    try:
        shutil.rmtree(bundle.folder)
        manifest = small_manifest(seen_penalty=0.5)
        Bundle.write(bundle.folder, manifest, bundle_files(manifest))
        fault = refusal(process, GOOD, BundleError)
        assert fault.code == "altered"
        assert fault.where.file == str(bundle.folder)
    finally:
        process.close()


# --- several threads, and the end ------------------------------------------------------------------------------------


def test_several_threads_each_get_their_own_answer(process):
    texts = [f"- {name}\n".encode() for name in COLOURS] * 3
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda text: embed(process, text).names, texts))
    assert answers == [(name,) for name in COLOURS] * 3


def test_closing_leaves_no_child_and_no_folder(small_bundle):
    process = EmbedProcess(small_bundle)
    embed(process)
    pid, folder = process.pid, Path(process._folder.name)
    assert list(folder.iterdir())
    process.close()
    assert not is_alive(pid)
    assert not folder.exists()
    process.close()


def test_a_closed_process_refuses_a_file_and_starts_nothing(small_bundle):
    process = EmbedProcess(small_bundle)
    process.close()
    assert refusal(process, GOOD, EmbedderError).code == "closed"
    assert process.pid is None


def test_closing_does_not_wait_for_a_file_that_is_being_embedded(process):
    faults = []

    def ask():
        try:
            embed(process, LONG)
        except EmbedderError as fault:
            faults.append(fault.code)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: process.pid is not None)
    pid = process.pid
    process.close()
    asking.join()
    assert faults == ["closed"]
    assert not is_alive(pid)
