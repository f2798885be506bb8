"""`edgezsl run`: recognise what a source shows, swapping classes whenever their file changes."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgezsl.cli.options import BundleOption, PlansOption, ThreadsOption
from edgezsl.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgezsl.runtime.power import PowerSampler
    from edgezsl.runtime.sinks import Sink
    from edgezsl.station import Station

ClassesOption = Annotated[
    Path, typer.Option("--classes", "-c", help="What to recognise: classes.yaml or classes.safetensors, watched.")
]
CameraOption = Annotated[
    str | None, typer.Option("--camera", help="A camera by number or device: 0, /dev/video0.", show_default=False)
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="Any other source: a video file, a folder or glob of pictures, rtsp://, http://, csi://0, "
        "a GStreamer pipeline, synthetic:",
        show_default=False,
    ),
]


_TAKE_PLANS = ("auto", "tensorrt")


def run(
    classes: ClassesOption,
    camera: CameraOption = None,
    source: SourceOption = None,
    bundle: BundleOption = None,
    jsonl: Annotated[
        str | None, typer.Option("--jsonl", help="Write answers as JSON lines to a file, or - for standard output.")
    ] = None,
    video: Annotated[Path | None, typer.Option("--video", help="Write an annotated video (.mp4).")] = None,
    window: Annotated[bool, typer.Option("--window", help="Show the annotated picture; q closes it.")] = False,
    engine: Annotated[
        str, typer.Option("--engine", help="auto, onnx, openvino, tensorrt, onnx:cuda or onnx:tensorrt.")
    ] = "auto",
    threads: ThreadsOption = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="Which encoder of the bundle.", show_default=False)
    ] = None,
    plans: PlansOption = None,
    device: Annotated[
        str | None, typer.Option("--device", help="A device profile; default: detected.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes an answer lists.")] = 5,
    as_fast_as_possible: Annotated[
        bool, typer.Option("--as-fast-as-possible", help="Read a file without pacing, and drop no frame.")
    ] = False,
    stall: Annotated[
        float, typer.Option("--stall", min=0.1, help="Seconds without a frame after which a source counts as lost.")
    ] = 5.0,
) -> None:
    """Recognise what a camera, a stream or a file shows; edit the class file and the answers change."""
    from edgezsl.cli.live import LiveLine
    from edgezsl.cli.say import say
    from edgezsl.runtime.notify import ServiceSink
    from edgezsl.station import Station, StationSettings, prefer_latency

    _check(engine, plans, device, classes)
    settings = StationSettings(
        source=one_source(camera, source),
        classes=classes,
        bundle=bundle,
        engine=engine,
        threads=threads,
        precision=precision,
        plans=plans,
        device=device,
        top_k=top,
        as_fast_as_possible=as_fast_as_possible,
        stall_s=stall,
    )
    service = ServiceSink.from_environment()
    if service is not None:
        service.loading()
    with Station.open(settings) as station, _stop_on_signal(station), _power() as power:
        say(f"engine: {station.engine}", stderr=True)
        sinks: list[Sink] = [*_outputs(settings.source, station, jsonl, video, window=window)]
        if service is not None:  # last: a frame counts for the watchdog when every output has it
            service.beside = lambda: power.latest
            sinks.append(service)
        prefer_latency()
        say(_done(station, [LiveLine(quiet=jsonl == "-", beside=lambda: power.latest), *sinks], power), stderr=True)


def _check(engine: str, plans: Path | None, device: str | None, classes: Path) -> None:
    """Refuse plans that no engine would run; warn of a profile of another kind of machine, and of classes mounted as one file."""
    from edgezsl.cli.say import say
    from edgezsl.device import load_profile, machine_arch

    if plans is not None and engine not in _TAKE_PLANS:
        raise typer.BadParameter(f"does nothing with --engine {engine}, which runs no plan", param_hint="--plans")
    if device is not None and (arch := load_profile(device).arch) != machine_arch():
        say(f"warning: --device {device} is a machine with {arch}, and this one has {machine_arch()}", stderr=True)
    if os.path.ismount(classes):  # what an editor puts in its place outside, nobody in this container ever sees
        message = f"{classes} is mounted by itself, so a new file in its place is not seen: mount its folder"
        say(f"warning: {message}", stderr=True)


def _power() -> PowerSampler:
    """Return what reads power and temperature beside the stream."""
    from edgezsl.runtime.power import PowerMeter, PowerSampler

    return PowerSampler(PowerMeter(), interval_s=2.0)


def _done(station: Station, sinks: Sequence[Sink], sampler: PowerSampler) -> str:
    """Recognise until the source ends, and return in words what was done and what the board drew meanwhile."""
    from edgezsl.cli.say import counted

    summary = station.run(sinks)
    power = str(sampler.end())
    rate = f" at {summary.fps:.1f} FPS" if summary.fps else ""  # one frame has none
    return (
        f"{counted(summary.answered, 'frame')} answered{rate}, {summary.dropped} dropped, "
        f"{counted(summary.swaps, 'swap')}, {counted(summary.refusals, 'refusal')}{f'; {power}' if power else ''}"
    )


def one_source(camera: str | None, source: str | None) -> str:
    """Return the URI of the source that two options name between them."""
    if (camera is None) == (source is None):
        raise typer.BadParameter("give one of --camera and --source", param_hint="--camera / --source")
    return source or (camera if camera is None or not camera.startswith("/") else f"v4l2://{camera}") or ""


def _outputs(uri: str, station: Station, jsonl: str | None, video: Path | None, *, window: bool) -> Iterator[Sink]:
    from edgezsl.runtime.sinks import STANDARD_OUTPUT, JsonLinesSink, VideoSink, WindowSink

    for option, path in (("--jsonl", jsonl if jsonl != STANDARD_OUTPUT else None), ("--video", video)):
        if path is not None:
            _check_not_the_source(option, Path(path), uri)
    if window:  # first: where there is no display, no empty file is left
        yield WindowSink.open(on_quit=station.stop)
    if jsonl is not None:
        yield JsonLinesSink.open(jsonl, standard_output=sys.stdout)
    if video is not None:
        yield VideoSink.open(video)


def _check_not_the_source(option: str, path: Path, uri: str) -> None:
    from edgezsl.runtime.sources import local_path

    source = local_path(uri)
    if source is not None and source.exists() and path.exists() and source.samefile(path):
        message = f"{option} {path} is the source itself"
        raise InputError(message, code="same_file", expected="another file", hint=f"choose another name for {option}")


@contextmanager
def _stop_on_signal(station: Station) -> Iterator[None]:
    """End the stream in order on Ctrl-C and on SIGTERM; a second Ctrl-C interrupts at once."""

    def stop(number: int, _: object) -> None:
        station.stop()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
