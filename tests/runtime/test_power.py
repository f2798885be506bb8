"""What boards draw and how hot they are, by trees of files and lines of `tegrastats` that others have recorded of theirs."""

from __future__ import annotations

import json
import os
import random
import time

import pytest

from edgezsl.runtime.power import NOT_REPORTED, ROOT_ALONE, PowerMeter, PowerSampler
from edgezsl.runtime.rails import whole_watts
from edgezsl.runtime.tegrastats import one_line, rails_of, zones_of
from edgezsl.runtime.throttling import read_throttling
from tests.sensors import (
    AGX_ORIN,
    HWMON,
    ORIN_NANO,
    RAPL,
    TEGRASTATS,
    THOR,
    THOR_INPUT,
    alerts,
    ina3221,
    lay,
    zones,
)

PI = "sys/devices/platform/soc/soc:firmware/get_throttled"
PACKAGE = "sys/class/powercap/intel-rapl:0/energy_uj"


def test_an_orin_nano_says_what_its_module_draws_and_how_hot_it_is(tmp_path):
    reading = PowerMeter(lay(tmp_path, ORIN_NANO)).read()
    assert reading.watts == pytest.approx(4.984 * 1.856)
    assert reading.source == "VDD_IN"
    assert set(reading.rails) == {"VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"}
    assert (reading.celsius, reading.hottest) == (63.781, "tj-thermal")
    assert reading.throttling.now == ()
    assert reading.throttling.events["instantaneous over-current"] == 2


def test_a_thor_adds_its_rails_up_and_has_the_whole_where_its_input_is_measured(tmp_path):
    lay(tmp_path, THOR)
    rails = (12.040 * 0.640, 12.040 * 0.960, 5.088 * 1.740)
    reading = PowerMeter(tmp_path).read()
    assert reading.watts == pytest.approx(sum(rails))
    assert reading.source == "VDD_GPU + VDD_CPU_SOC_MSS + VIN_SYS_5V0"
    assert reading.throttling.now == ("gpu too hot",)
    lay(tmp_path, THOR_INPUT)
    assert PowerMeter(tmp_path).read().watts == pytest.approx(26.686)


def test_an_agx_orin_counts_no_rail_twice(tmp_path):
    reading = PowerMeter(lay(tmp_path, AGX_ORIN)).read()
    assert reading.rails["VDDQ_VDD2_1V8AO"] == pytest.approx(1.09)
    assert "NC" not in reading.rails
    assert reading.watts == pytest.approx(3.16 + 14.32 + 4.97)


def test_of_unknown_rails_no_whole_is_claimed(tmp_path):
    meter = PowerMeter(lay(tmp_path, ina3221(1, ("VDD_NEW", 5000, 1000), ("VDD_OLD", 5000, 200))))
    assert meter.read().watts is None
    assert "VDD_NEW, VDD_OLD alone" in meter.why_no_watts


def test_a_monitor_that_stops_answering_is_no_power_and_no_error(tmp_path):
    meter = PowerMeter(lay(tmp_path, ORIN_NANO))
    for channel in (1, 2, 3):
        (tmp_path / HWMON.format(1, f"curr{channel}_input")).unlink()
    assert meter.read().watts is None
    assert meter.read().celsius == 63.781


@pytest.mark.parametrize("board", TEGRASTATS)
def test_a_line_of_tegrastats_gives_the_whole_and_the_hottest_sensor(board):
    line, watts, celsius = TEGRASTATS[board]
    assert whole_watts(rails_of(line))[0] == pytest.approx(watts)
    assert max(zones_of(line).values()) == celsius


def test_no_other_figure_of_a_line_is_taken_for_a_rail_or_a_sensor():
    line = TEGRASTATS["AGX Orin"][0]
    assert set(rails_of(line)) == {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"}
    assert {name.lower() for name in zones_of(line)} == {
        *("cv0", "cv1", "cv2", "cpu", "gpu", "soc0", "soc1", "soc2", "tj", "tboard", "tdiode")
    }
    assert rails_of("RAM 1/2MB CPU [1%@1]") == zones_of("") == {}


@pytest.fixture
def tegrastats(tmp_path, monkeypatch):
    """Put a program of that name first on the path: a shell script, as it is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(script):
        program = folder / "tegrastats"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return write


def test_a_jetson_that_hides_its_monitors_is_asked_through_tegrastats_and_the_program_is_ended(tmp_path, tegrastats):
    line, watts, celsius = TEGRASTATS["Orin Nano"]
    tegrastats(f"echo $$ > {tmp_path}/pid\nwhile :; do echo '{line}'; sleep 0.1; done")
    root = lay(tmp_path, {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.4"})
    reading = PowerMeter(root).read()
    assert (reading.watts, reading.celsius) == (watts, celsius)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("script", ["exec sleep 60", "exit 1", "printf no-line-end; exec sleep 60"])
def test_a_tegrastats_that_says_nothing_is_not_waited_for(tegrastats, script):
    tegrastats(script)
    start = time.monotonic()
    assert not rails_of(one_line(0.3))
    assert time.monotonic() - start < 2


def test_no_other_machine_is_asked_through_tegrastats(tmp_path, tegrastats):
    tegrastats(f"touch {tmp_path}/started")
    PowerMeter(lay(tmp_path, zones(cpu=50000))).read()
    assert not (tmp_path / "started").exists()


def test_rapl_gives_the_mean_of_packages_and_memory_since_the_reading_before(tmp_path):
    meter = PowerMeter(lay(tmp_path, RAPL))
    start = time.monotonic()
    time.sleep(0.05)
    lay(tmp_path, {PACKAGE: 101_000_000, PACKAGE.replace(":0/", ":0:2/"): 20_500_000})
    reading = meter.read()
    assert reading.source == "RAPL: package-0 + dram"
    assert 1.5 / (time.monotonic() - start) * 0.9 < reading.watts < 1.5 / 0.05


def test_a_counter_that_starts_anew_is_followed(tmp_path):
    most = 262143328850
    lay(tmp_path, {**RAPL, PACKAGE: most - 1_000_000})
    with PowerSampler(PowerMeter(tmp_path), interval_s=10) as sampler:
        time.sleep(0.02)
        lay(tmp_path, {PACKAGE: 1_000_000})
    summary = sampler.end()
    assert summary.watts * summary.seconds == pytest.approx(2.0, rel=0.01)


def test_a_counter_that_only_root_may_read_is_said_so(tmp_path):
    lay(tmp_path, RAPL)
    (tmp_path / PACKAGE).unlink()
    (tmp_path / PACKAGE).mkdir()  # nobody can read it, root neither, as who runs the tests may be
    assert PowerMeter(tmp_path).why_no_watts == ROOT_ALONE


def test_a_machine_that_reports_nothing_is_a_reading_without_figures(tmp_path):
    meter = PowerMeter(tmp_path)
    reading = meter.read()
    assert (reading.watts, reading.celsius, reading.throttling) == (None, None, None)
    assert meter.why_no_watts == NOT_REPORTED
    with PowerSampler(meter, interval_s=0.01) as sampler:
        time.sleep(0.03)
    assert str(sampler.end()) == ""


def test_this_machine_is_read_without_an_error():
    reading = PowerMeter().read()
    assert reading.watts is None or reading.watts >= 0
    assert reading.celsius is None or -40 < reading.celsius < 150


@pytest.mark.parametrize("data", [b"", b"\0\xff\x1b[2J", b"-1", random.Random(0).randbytes(4096), b"9" * 10**6])
def test_hostile_contents_are_never_an_error(tmp_path, data):
    for files in (ORIN_NANO, THOR_INPUT, RAPL, {PI: ""}):
        lay(tmp_path, files)
        for name in files:
            if not name.endswith("/name"):
                (tmp_path / name).write_bytes(data)
    text = json.dumps(PowerMeter(tmp_path).read().to_json())
    assert len(text) < 20_000
    assert text.isprintable()


@pytest.mark.parametrize("value", ["", "x", "-256000", "999999", "1e400"])
def test_a_sensor_that_gives_no_temperature_is_left_out(tmp_path, value):
    lay(tmp_path, zones(cpu=51000, broken=value))
    reading = PowerMeter(tmp_path).read()
    assert (reading.celsius, reading.hottest) == (51.0, "cpu-thermal")


def test_a_processor_without_zones_gives_its_own_sensor(tmp_path):
    files = {"name": "k10temp", "temp1_input": 45125, "temp1_label": "Tctl"}
    lay(tmp_path, {HWMON.format(0, name): value for name, value in files.items()})
    reading = PowerMeter(tmp_path).read()
    assert (reading.celsius, reading.hottest) == (45.125, "Tctl")


# The kernel of a Raspberry Pi gives the number in hexadecimal without `0x`; `vcgencmd` documents its bits.
@pytest.mark.parametrize(
    ("text", "now", "past"),
    [
        ("0", (), ()),
        ("50005", ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        ("80000", (), ("soft",)),
    ],
)
def test_a_raspberry_pi_says_why_it_is_throttled_and_why_it_was(tmp_path, text, now, past):
    throttling = read_throttling(lay(tmp_path, {PI: text}))
    assert throttling.now == now
    assert [name for name, count in throttling.events.items() if count] == [
        name for name in throttling.events if name.startswith(past or ("none",))
    ]


def test_a_raspberry_pi_with_another_kernel_says_its_under_voltage(tmp_path):
    lay(tmp_path, {HWMON.format(1, "name"): "rpi_volt", HWMON.format(1, "in0_lcrit_alarm"): 1})
    assert read_throttling(tmp_path).now == ("under-voltage",)


def test_an_x86_processor_counts_how_often_it_was_too_hot(tmp_path):
    counts = {f"sys/devices/system/cpu/cpu{n}/thermal_throttle/core_throttle_count": n for n in (0, 3)}
    lay(tmp_path, {**counts, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": 1})
    assert read_throttling(tmp_path).events == {"cpu too hot": 3}


def test_a_sampler_tells_the_mean_the_hottest_and_what_throttled_meanwhile(tmp_path):
    lay(tmp_path, ORIN_NANO)
    with PowerSampler(PowerMeter(tmp_path), interval_s=0.01) as sampler:
        time.sleep(0.1)
        lay(tmp_path, {**zones(cpu=81000), **alerts(("gpu-throttle-alert", 1)), HWMON.format(1, "curr1_input"): 3712})
        time.sleep(0.1)
        lay(tmp_path, {**zones(cpu=60000), **alerts(("gpu-throttle-alert", 0)), HWMON.format(3, "oc3_event_cnt"): 7})
        time.sleep(0.03)
    summary = sampler.end()
    assert 0.2 < summary.seconds < 1
    assert 4.984 * 1.856 < summary.watts < 4.984 * 3.712
    assert summary.celsius == 81.0
    assert summary.throttled == ("gpu too hot", "instantaneous over-current")
    assert str(summary).endswith(
        "W on average (VDD_IN), at most 81 °C, throttled: gpu too hot, instantaneous over-current"
    )
    assert sampler.end() == summary


def test_events_from_before_are_no_throttling_of_now(tmp_path):
    with PowerSampler(PowerMeter(lay(tmp_path, ORIN_NANO)), interval_s=10) as sampler:
        pass
    assert sampler.end().throttled == ()
    assert str(sampler.end()).endswith("not throttled")


def test_the_latest_reading_stands_beside_the_frame_rate(tmp_path):
    with PowerSampler(PowerMeter(lay(tmp_path, ORIN_NANO)), interval_s=60) as sampler:
        assert sampler.latest == "9.3 W, 64 °C"
    with PowerSampler(PowerMeter(tmp_path / "nothing"), interval_s=60) as sampler:
        assert sampler.latest == ""


def test_what_throttles_stands_beside_it_too(tmp_path):
    assert str(PowerMeter(lay(tmp_path, THOR)).read()).endswith("throttled: gpu too hot")
