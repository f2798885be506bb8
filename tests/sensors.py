"""Trees of `/sys`, `/etc` and `/var` as boards have them, laid out under a folder.

No board is at hand: the files hold what others have published of theirs. Each says which board and release it was, and where
it was read.
"""

from __future__ import annotations

HWMON = "sys/class/hwmon/hwmon{}/{}"


def lay(root, files):
    """Write files under a folder: paths to texts."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def ina3221(number, *channels):
    """Return the files of a power monitor: its number, and label, millivolts and milliamperes of each channel."""
    files = {HWMON.format(number, "name"): "ina3221", HWMON.format(number, "in7_label"): "sum of shunt voltages"}
    files[HWMON.format(number, "in7_input")] = "9"
    for channel, (label, millivolts, milliamperes) in enumerate(channels, start=1):
        files[HWMON.format(number, f"in{channel}_label")] = label
        files[HWMON.format(number, f"in{channel}_input")] = millivolts
        files[HWMON.format(number, f"curr{channel}_input")] = milliamperes
    return files


def zones(**millidegrees):
    """Return the files of thermal zones; None is a zone that has a name and gives no temperature."""
    files = {}
    for number, (name, value) in enumerate(millidegrees.items()):
        files[f"sys/class/thermal/thermal_zone{number}/type"] = f"{name}-thermal"
        if value is not None:
            files[f"sys/class/thermal/thermal_zone{number}/temp"] = value
    return files


def alerts(*states):
    """Return the files of a Jetson's thermal alerts and of its fan: name, state."""
    files = {}
    for number, (name, state) in enumerate(states):
        files[f"sys/class/thermal/cooling_device{number}/type"] = name
        files[f"sys/class/thermal/cooling_device{number}/cur_state"] = state
    return files


# Jetson Orin Nano: power, over-current events and zones as in a public test tree "laid out like the Orin Nano's"
# (`jetson_health.py`, a robot's hardware control), whose cv0-thermal gives no temperature. The layout agrees with a public
# record of an Orin Nano with Jetson Linux 36.5 (`hwmon1` = INA3221 with VDD_IN, VDD_CPU_GPU_CV, VDD_SOC; `hwmon3` =
# soctherm_oc; policy0 of cores 0-3 and policy4 of 4-5, held at 1728000 kHz; the GPU at 1020000000 Hz by nvhost_podgov; power
# mode 2, MAXN_SUPER).
ORIN_NANO = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 5.0, GCID: 42973441, BOARD: generic, EABI: aarch64",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    "proc/meminfo": "MemTotal:        7802940 kB\nMemFree:          512000 kB\nMemAvailable:    5244928 kB",
    "sys/class/hwmon/hwmon0/name": "pwmfan",
    **ina3221(1, ("VDD_IN", 4984, 1856), ("VDD_CPU_GPU_CV", 4984, 200), ("VDD_SOC", 4984, 288)),
    HWMON.format(3, "name"): "soctherm_oc",
    **{HWMON.format(3, f"oc{n}_event_cnt"): count for n, count in ((1, 1), (2, 0), (3, 2))},
    **zones(cpu=63625, gpu=63000, cv0=None, soc0=61000, tj=63781),
    **alerts(("pwm-fan", 3), ("cpu-throttle-alert", 0), ("gpu-throttle-alert", 0)),
    "var/lib/nvpmodel/status": "pmode:0002",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nGPU MAX_FREQ 612000000\n\n< POWER_MODEL ID=1 NAME=25W >\n"
    "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >",
    **{
        f"sys/devices/system/cpu/cpufreq/policy{first}/{file}": value
        for first, cores in ((0, "0 1 2 3"), (4, "4 5"))
        for file, value in (
            ("affected_cpus", cores),
            ("scaling_cur_freq", 1728000),
            ("scaling_min_freq", 1728000),
            ("scaling_max_freq", 1728000),
            ("scaling_governor", "schedutil"),
        )
    },
    "sys/class/devfreq/17000000.gpu/cur_freq": 1020000000,
    "sys/class/devfreq/17000000.gpu/min_freq": 1020000000,
    "sys/class/devfreq/17000000.gpu/max_freq": 1020000000,
    "sys/class/devfreq/17000000.gpu/governor": "nvhost_podgov",
    "sys/class/devfreq/bwmgr/cur_freq": 3199000000,
    # The version: a public transcript of `apt-cache show nvidia-jetpack` on an Orin with Jetson Linux 36.4.4; the rest is
    # dpkg's format.
    "var/lib/dpkg/status": "Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.2.11\n\n"
    "Package: libnvinfer10\nStatus: install ok installed\nPriority: optional\nArchitecture: arm64\n"
    "Version: 10.3.0.30-1+cuda12.5\nDescription: TensorRT runtime libraries\n\n"
    "Package: nvidia-jetpack\nStatus: install ok installed\nArchitecture: arm64\nSource: nvidia-jetpack (6.2.1)\n"
    "Version: 6.2.1+b38\n\n"
    "Package: libnvinfer8\nStatus: deinstall ok config-files\nVersion: 8.6.2.3-1+cuda12.2\n",
}

# Jetson AGX Thor: rails, zones and alerts as the notes of swsususu/ThorFAN record them (section 3.10, and its README: the
# GPU's zone gives nothing while the GPU is switched off, and gpu-throttle-alert went to 1 at 109 °C). The INA238 of the
# whole is in other boards' records of `tegrastats` (26686 mW) and in Linux as `power1_input`, in microwatts.
THOR = {
    "etc/nv_tegra_release": "# R38 (release), REVISION: 4.0",
    **ina3221(1, ("VDD_GPU", 12040, 640), ("VDD_CPU_SOC_MSS", 12040, 960), ("VIN_SYS_5V0", 5088, 1740)),
    **zones(tj=55100, soc012=55100, cpu=53700, soc345=53700, gpu=None),
    **alerts(("cpufreq-cpu0", 0), ("pwm-fan", 0), ("cpu-throttle-alert", 0), ("gpu-throttle-alert", 1)),
}
THOR_INPUT = {HWMON.format(4, "name"): "ina238", HWMON.format(4, "power1_input"): 26686000}

# Jetson AGX Orin: the labels are Linux's device tree of it (tegra234-p3701), the figures those of a public line of
# `tegrastats` (below), as a current at a round voltage.
AGX_ORIN = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.4",
    **ina3221(3, ("VDD_GPU_SOC", 20000, 158), ("VDD_CPU_CV", 20000, 716), ("VIN_SYS_5V0", 5000, 994)),
    **ina3221(4, ("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 218), ("NC", 0, 0)),
}

# An x86 processor's RAPL, as Linux's documentation of `power/powercap` lists its zones: core and uncore lie in the package.
RAPL = {
    f"sys/class/powercap/intel-rapl:{zone}/{file}": value
    for zone, name, joules in (("0", "package-0", 100), ("0:0", "core", 60), ("0:1", "uncore", 5), ("0:2", "dram", 20))
    for file, value in (("name", name), ("energy_uj", joules * 1_000_000), ("max_energy_range_uj", 262143328850))
}

# Lines of `tegrastats`. Orin Nano and JetPack 6: henrygd/beszel, tests of its agent, and its issue 286. AGX Orin: a public
# transcript of 21 November 2025. Thor and JetPack 7: a public exporter's test, 31 July 2026. The last two kinds, with three
# figures, are of newer releases: a public test "on real tegrastats lines of the three Jetsons". The Nano's is JetPack 4:
# dusty-nv/jetson-inference, issue 1206; edgezsl does not support it.
TEGRASTATS = {
    "Orin Nano": (
        (
            "11-15-2024 08:38:09 RAM 6185/7620MB (lfb 8x2MB) SWAP 851/3810MB (cached 1MB) CPU [15%@729,11%@729,14%@729,13%@729,"
            "11%@729,8%@729] EMC_FREQ 43%@2133 GR3D_FREQ 63%@[621] NVDEC off NVJPG off NVJPG1 off VIC off OFA off APE 200 "
            "cpu@53.968C soc2@52.437C soc0@50.75C gpu@53.343C tj@53.968C soc1@51.656C VDD_IN 12479mW/12479mW "
            "VDD_CPU_GPU_CV 4667mW/4667mW VDD_SOC 2817mW/2817mW"
        ),
        12.479,
        53.968,
    ),
    "AGX Orin": (
        (
            "11-21-2025 08:49:48 RAM 13983/62780MB (lfb 424x4MB) SWAP 126/31390MB (cached 0MB) CPU [90%@2201,100%@2201] "
            "EMC_FREQ 1%@2133 GR3D_FREQ 14%@[407,407] VIC_FREQ 115 NVDLA0_FREQ @1600 APE 174 CV0@73.625C CPU@77.281C Tboard@62C "
            "SOC2@70C Tdiode@62.25C SOC0@69.531C CV1@72.5C GPU@69.125C tj@77.281C SOC1@68.968C CV2@67.25C "
            "VDD_GPU_SOC 3150mW/2971mW VDD_CPU_CV 14312mW/12415mW VIN_SYS_5V0 4968mW/5048mW VDDQ_VDD2_1V8AO 1091mW/1091mW"
        ),
        3.150 + 14.312 + 4.968,
        77.281,
    ),
    "Thor": (
        (
            "07-31-2026 14:45:55 RAM 86905/125772MB (lfb 368x4MB) CPU [12%@972,10%@972,off,33%@1890] cpu@39.812C tj@39.906C "
            "soc012@38.812C gpu@39.906C soc345@38.625C VDD_GPU 3561mW/3561mW VDD_CPU_SOC_MSS 7910mW/7910mW "
            "VIN_SYS_5V0 7620mW/7620mW VIN 26686mW/26686mW"
        ),
        26.686,
        39.906,
    ),
    "Orin NX, three figures": (
        (
            "10-01-2026 20:36:35 RAM 2432/15598MB (lfb 4x4MB) SWAP 0/6144MB (cached 0MB) CPU [55%@1036,9%@1036,24%@1036,64%@1036,"
            "off,off,0%@729,0%@729] GR3D_FREQ 0% cv0@56.281C/56.281C cpu@57.156C/57.156C soc2@56.593C/56.593C "
            "soc0@57.781C/57.781C cv1@56.125C/56.125C gpu@55.343C/55.343C tj@59.687C/59.687C soc1@59.687C/59.687C "
            "cv2@56.281C/56.281C VDD_IN 7280mW/7280mW/7280mW"
        ),
        7.280,
        59.687,
    ),
    "AGX Orin, three figures": (
        (
            "10-01-2026 11:05:58 RAM 8207/62878MB (lfb 80x4MB) SWAP 85/6144MB (cached 0MB) CPU [9%@729,8%@729] GR3D_FREQ 0% "
            "cpu@47.906C/48.343C soc2@45.375C/45.406C soc0@45.5C/45.593C tj@47.906C/48.343C soc1@47.093C/47.25C "
            "VDD_GPU_SOC 3034mW/3049mW/3412mW VDD_CPU_CV 1137mW/1296mW/2273mW VIN_SYS_5V0 4939mW/4924mW/5040mW"
        ),
        3.034 + 1.137 + 4.939,
        47.906,
    ),
    "Nano": (
        (
            "RAM 1501/3956MB (lfb 332x4MB) IRAM 0/252kB(lfb 252kB) CPU [16%@1479,13%@1479,10%@1479,4%@1479] EMC_FREQ 4%@1600 "
            "GR3D_FREQ 28%@76 NVDEC 716 VIC_FREQ 0%@140 APE 25 PLL@39C CPU@44C PMIC@100C GPU@41.5C AO@47.5C thermal@42.5C "
            "POM_5V_IN 4122/3107 POM_5V_GPU 109/85 POM_5V_CPU 1167/748"
        ),
        4.122,
        47.5,
    ),
}
