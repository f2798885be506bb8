"""How a board is set up, by trees of files as others have recorded them of theirs."""

from __future__ import annotations

import json
import os
import random

import pytest

from edgezsl.runtime.board import Clock, PowerMode, board_readings
from tests.sensors import ORIN_NANO, lay

STATUS = "var/lib/dpkg/status"
POLICY = "sys/devices/system/cpu/cpufreq/policy0"


def test_an_orin_nano_is_read_from_its_software_to_its_clocks(tmp_path):
    found = board_readings(lay(tmp_path, ORIN_NANO))
    assert (found.jetpack, found.tensorrt) == ("6.2.1+b38", "10.3.0.30-1+cuda12.5")
    assert found.power_mode == PowerMode(2, "MAXN_SUPER")
    assert (found.memory_mib, found.free_memory_mib) == (7620, 5122)
    assert found.cpu_clocks == (
        Clock("cpu 0-3", 1728, 1728, 1728, "schedutil"),
        Clock("cpu 4-5", 1728, 1728, 1728, "schedutil"),
    )
    assert found.gpu_clocks == (Clock("17000000.gpu", 1020, 1020, 1020, "nvhost_podgov"),)
    assert found.clocks_held is True


def test_clocks_that_may_move_are_not_held(tmp_path):
    lay(tmp_path, {**ORIN_NANO, "sys/class/devfreq/17000000.gpu/min_freq": 306000000})
    assert board_readings(tmp_path).clocks_held is False


def test_a_power_mode_without_a_name_keeps_its_number(tmp_path):
    lay(tmp_path, {"var/lib/nvpmodel/status": "pmode:0003 fmode:fanNull"})
    assert board_readings(tmp_path).power_mode == PowerMode(3, None)


def test_a_package_that_was_removed_is_not_installed(tmp_path):
    lay(tmp_path, {STATUS: "Package: nvidia-jetpack\nStatus: deinstall ok config-files\nVersion: 6.0+b106\n"})
    assert board_readings(tmp_path).jetpack is None


def test_a_pc_shares_what_it_has(tmp_path):
    files = {"scaling_cur_freq": 800000, "scaling_min_freq": 400000, "scaling_max_freq": 4700000}
    lay(tmp_path, {f"{POLICY}/{name}": value for name, value in {**files, "scaling_governor": "powersave"}.items()})
    found = board_readings(tmp_path)
    assert found.cpu_clocks == (Clock("policy0", 800, 400, 4700, "powersave"),)
    assert (found.power_mode, found.gpu_clocks, found.jetpack) == (None, (), None)


def test_a_machine_that_says_nothing_is_nothing_and_no_error(tmp_path):
    found = board_readings(tmp_path)
    assert (found.memory_mib, found.clocks_held, found.power_mode) == (None, None, None)


@pytest.mark.parametrize(
    "data", [b"", b"\0\xff", b"pmode:", b"pmode:99999999999999999999", random.Random(0).randbytes(4096), b"9" * 10**6]
)
def test_hostile_contents_are_never_an_error(tmp_path, data):
    lay(tmp_path, ORIN_NANO)
    for name in ORIN_NANO:
        (tmp_path / name).write_bytes(data)
    text = json.dumps(board_readings(tmp_path).to_json())
    assert len(text) < 20_000


def test_folders_and_pipes_in_place_of_files_are_never_waited_for(tmp_path):
    lay(tmp_path, ORIN_NANO)
    for name in ORIN_NANO:
        (tmp_path / name).unlink()
    (tmp_path / STATUS).mkdir()
    os.mkfifo(tmp_path / "var/lib/nvpmodel/status")
    os.mkfifo(tmp_path / POLICY / "scaling_min_freq")
    assert board_readings(tmp_path).power_mode is None


def test_this_machine_has_memory():
    found = board_readings()
    assert 0 < found.free_memory_mib <= found.memory_mib
