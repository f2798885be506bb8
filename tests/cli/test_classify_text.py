"""`edgezsl classify-text` as a user meets it."""

import json
import subprocess
import sys

import pytest

TOPICS = "reject: 0.05\nclasses: [food, sports, law]\n"
LINES = b"The soup needs more salt.\n\nbad \xff soup recipe\n\xe4\xbd\xa0\xe5\xa5\xbd\nThe judge sent him to prison.\n"
COMMAND = [sys.executable, "-m", "edgezsl", "classify-text"]


def classify(*arguments, given=None):
    return subprocess.run([*COMMAND, *map(str, arguments)], input=given, capture_output=True, timeout=60, check=False)


@pytest.fixture
def topics(tmp_path):
    path = tmp_path / "topics.yaml"
    path.write_text(TOPICS)
    return path


def test_one_line_in_is_one_line_out_and_the_stream_goes_on(tmp_path, topics):
    (tmp_path / "lines.txt").write_bytes(LINES)
    done = classify(topics, tmp_path / "lines.txt")
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode().splitlines()
    assert [line.partition(" ")[0] for line in said] == ["food", "-", "food", "-", "law"]
    assert said[1] == "- (empty line)"
    assert said[2].endswith("(bad utf8)")
    assert said[3] == "- (unknown words)"
    piped = classify(topics, "-", "--json", "--top", 1, given=LINES)
    answers = [json.loads(line) for line in piped.stdout.splitlines()]
    assert [answer["line"] for answer in answers] == [1, 2, 3, 4, 5]
    assert [answer["regions"][0]["decision"] for answer in answers] == ["food", None, "food", None, "law"]
    assert all(len(answer["regions"][0]["top"]) <= 1 for answer in answers)
    assert {answer["source"] for answer in answers} == {"stdin"}


def test_a_line_is_answered_while_the_pipe_is_open(topics):
    with subprocess.Popen([*COMMAND, str(topics)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for text, topic in ((b"salty soup\n", b"food"), (b"the football team won\n", b"sports")):
            process.stdin.write(text)
            process.stdin.flush()
            assert process.stdout.readline().startswith(topic)
        process.stdin.close()
        assert process.wait(30) == 0


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, topics):
    for path in (tmp_path / "absent.txt", tmp_path):
        done = classify(topics, path)
        assert done.returncode == 1
        assert done.stderr.decode().count("\n") == 1
        assert "cannot be read" in done.stderr.decode()
    done = classify(topics, tmp_path / "absent.txt", "--json")
    assert json.loads(done.stderr)["error"]["code"] == "not_readable"


def test_it_needs_no_torch(topics):
    program = (
        "import sys; from edgezsl.__main__ import main; status = main();"
        "assert status == 0; assert not {'torch', 'onnx', 'cv2'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "classify-text", str(topics)],
        input=b"soup\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"food")
