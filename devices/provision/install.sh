#!/usr/bin/env bash
# Turns this machine into a station of edgezsl. Written by `edgezsl provision` for: @TITLE@ (@BOARD@), @SYSTEM@.
# Read it before you run it. It may be run again: it changes what differs and keeps what you have edited in /etc/edgezsl.
#
#   sudo ./install.sh [--wheel FILE] [--onnxruntime pip|FILE] [--classes FILE] [--compile|--no-compile] [--start|--no-start]
#
#   --wheel FILE        edgezsl's wheel; default: the one beside this script
#   --onnxruntime pip   ONNX Runtime from the index, which computes on the CPU: the default
#   --onnxruntime FILE  a wheel of yours, such as a build for this machine's GPU
#   --classes FILE      what to recognise, in the place of /etc/edgezsl/classes.yaml, of which a copy is kept; default: what is
#                       there, else the example
#   --compile, --start  build TensorRT's plan, start the service: without asking; --no-… neither builds, starts nor asks
#
# Everything that it fetches comes through apt and pip, from the sources that this machine is set up for.
set -euo pipefail
umask 022 # the service's user must be able to read what is installed

readonly ARCH=@ARCH@ # of this machine, as uname -m says
readonly EXTRAS=@EXTRAS@ # of edgezsl, for pip; ONNX Runtime is a choice of its own
readonly APART=@APART@ # an extra that may fail without the rest
readonly PYTHON=@PYTHON@ # the system's Python, where only one will do
readonly L4T=@L4T@ # the release of Jetson Linux, where this is a Jetson
readonly PLANS=@PLANS@ # yes where TensorRT runs here
readonly RUN_BUNDLE=@BUNDLE@ # the model's folder, where it is not the one that comes with edgezsl
readonly PACKAGES=(@PACKAGES@) # of apt

readonly VENV=/opt/edgezsl ETC=/etc/edgezsl STATE=/var/lib/edgezsl
here=$(cd "$(dirname "$0")" && pwd)
readonly here

step() { printf '\n== %s\n' "$*"; }
refuse() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}
usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
    exit "$1"
}
booted() { [ -d /run/systemd/system ]; } # not while an image is made in a chroot
as_edgezsl() { (cd "$STATE" && HOME=$STATE runuser -u edgezsl -- "$@"); }

# Yes where an option says so, or somebody at a terminal does.
agreed() {
    case $1 in
    yes) return 0 ;;
    no) return 1 ;;
    esac
    [ -t 0 ] || {
        printf '%s Nobody is here to ask: not now.\n' "$2"
        return 1
    }
    local answer
    read -r -p "$2 [y/N] " answer
    [[ $answer == [yY]* ]]
}

wheel='' onnxruntime=pip classes='' compile=ask start=ask
while [ $# -gt 0 ]; do
    case $1 in
    --wheel | --onnxruntime | --classes)
        [ $# -ge 2 ] || refuse "$1 wants a value"
        declare "${1#--}=$2"
        shift 2
        ;;
    --compile | --start) declare "${1#--}=yes" && shift ;;
    --no-compile | --no-start) declare "${1#--no-}=no" && shift ;;
    -h | --help) usage 0 ;;
    *)
        printf 'install.sh: there is no option %s\n' "$1" >&2
        usage 2 >&2
        ;;
    esac
done

step "is this the machine that the script was written for"
[ "$(id -u)" = 0 ] || refuse "run it as root: sudo $0"
[ "$(uname -m)" = "$ARCH" ] || refuse "this machine is $(uname -m), and the script was written for $ARCH: run edgezsl provision for this board"
for program in apt-get systemctl; do
    command -v "$program" >/dev/null || refuse "there is no $program here: this is for Debian, Ubuntu and JetPack; in a container, take devices/containers"
done
if [ -n "$L4T" ]; then
    [ -r /etc/nv_tegra_release ] || refuse "there is no /etc/nv_tegra_release, so this is no Jetson, or a container without it"
    grep -Eq "^# R($L4T) \(release\)" /etc/nv_tegra_release ||
        refuse "this is Jetson Linux $(sed -n '1s/^# R\([0-9]*\).*/\1/p' /etc/nv_tegra_release), and the script was written for $L4T: give edgezsl provision the --jetpack of this board"
fi
if [ -n "$RUN_BUNDLE" ] && [ ! -d "$RUN_BUNDLE" ]; then
    refuse "there is no bundle $RUN_BUNDLE, which the service is to run; copy it first: sudo mkdir -p ${RUN_BUNDLE%/*} && sudo cp -rT YOUR-BUNDLE $RUN_BUNDLE"
fi
if [ -z "$wheel" ]; then
    shopt -s nullglob
    found=("$here"/edgezsl-*.whl)
    [ ${#found[@]} = 1 ] || refuse "there are ${#found[@]} wheels of edgezsl beside this script; put one there, or say --wheel FILE"
    wheel=${found[0]}
fi
[ -f "$wheel" ] || refuse "there is no wheel $wheel"
wheel=$(realpath "$wheel")
if [ "$onnxruntime" != pip ]; then
    [ -f "$onnxruntime" ] || refuse "there is no wheel $onnxruntime for --onnxruntime"
    onnxruntime=$(realpath "$onnxruntime")
fi
[ -z "$classes" ] || [ -f "$classes" ] || refuse "there is no class file $classes"

step "packages of apt"
missing=()
for package in "${PACKAGES[@]}"; do
    # JetPack brings cv2 and TensorRT under more than one name: what can be imported is there.
    case $package in
    python3-opencv) python3 -c 'import cv2' 2>/dev/null && continue ;;
    python3-libnvinfer) python3 -c 'import tensorrt' 2>/dev/null && continue ;;
    *) [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] && continue ;;
    esac
    missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    apt-get update || echo "note: apt could not refresh every list, see above"
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" ||
        refuse "apt did not install ${missing[*]}; on a Jetson, TensorRT comes from JetPack's own source: sudo apt install nvidia-jetpack"
fi
if [ -n "$L4T" ]; then # what is there, and cannot do what it is there for
    python3 -c 'import cv2, sys; sys.exit("GStreamer:                   YES" not in cv2.getBuildInformation())' 2>/dev/null ||
        echo "note: no CSI camera: the system's OpenCV has no GStreamer: $(python3 -c 'import cv2; print(cv2.__file__)' 2>&1 | tail -n 1)"
    said=$(python3 -c 'import tensorrt' 2>&1) ||
        echo "note: TensorRT cannot be imported: ${said##*$'\n'}; for libnvdla_compiler.so: sudo apt install nvidia-l4t-dla-compiler"
fi
if [ -n "$PYTHON" ]; then
    has=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [ "$has" = "$PYTHON" ] || refuse "the system's Python is $has, and JetPack's cv2 and TensorRT are made for $PYTHON"
fi

step "the user edgezsl"
for group in video render; do
    getent group "$group" >/dev/null || groupadd --system "$group"
done
getent passwd edgezsl >/dev/null ||
    useradd --system --user-group --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin edgezsl
usermod --append --groups video,render edgezsl

step "folders"
install -D -m 0644 "$here/edgezsl.tmpfiles" /etc/tmpfiles.d/edgezsl.conf
systemd-tmpfiles --create /etc/tmpfiles.d/edgezsl.conf

step "Python packages in $VENV"
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
venv_options=()
if [ -n "$L4T" ]; then
    venv_options+=(--system-site-packages) # JetPack's cv2 and TensorRT are the system's
fi
if [ ! -x "$VENV/bin/python" ] || [ "$("$VENV/bin/python" -c 'import sys; print(sys.version_info[:2])')" != "$(python3 -c 'import sys; print(sys.version_info[:2])')" ]; then
    python3 -m venv --clear "${venv_options[@]}" "$VENV"
fi
cp "$here/constraints.txt" "$constraints"
what=("${wheel}[$EXTRAS]" onnxruntime)
# The build for CPUs and that for GPUs write the same files: of an earlier run the other one must go first. The one from the
# index stays: without a network it could not be had again.
before=(onnxruntime-gpu)
if [ "$onnxruntime" != pip ]; then
    sed -i '/^onnxruntime==/d' "$constraints" # yours decides
    what=("${wheel}[$EXTRAS]" "$onnxruntime")
    before+=(onnxruntime)
fi
"$VENV/bin/python" -m pip --disable-pip-version-check uninstall -qq --yes "${before[@]}"
pip=("$VENV/bin/python" -m pip --disable-pip-version-check --no-input install --constraint "$constraints")
"${pip[@]}" "${what[@]}"
if [ -n "$APART" ]; then
    "${pip[@]}" "${wheel}[$APART]" ||
        echo "note: no $APART: its libraries come from NVIDIA's own index; the service goes on without; run this again when pip reaches it"
fi
# The same version may be another build: pip would keep what is there.
"${pip[@]}" --force-reinstall --no-deps "$wheel"
ln -sf "$VENV/bin/edgezsl" /usr/local/bin/edgezsl

step "service and settings"
install -m 0644 "$here/edgezsl.service" /etc/systemd/system/edgezsl.service
if [ -e "$ETC/edgezsl.env" ]; then
    # The names of what differs: a value may hold a password.
    differs=$(diff "$here/edgezsl.env" "$ETC/edgezsl.env" | sed -n 's/^[<>] \([A-Z_]*\)=.*/\1/p' | sort -u | paste -sd ' ' || true)
    if [ -n "$differs" ]; then
        echo "note: kept $ETC/edgezsl.env, which differs in $differs from the one that this unit was written for. To take that:"
        echo "  sudo install --backup=numbered -m 0600 '$here/edgezsl.env' $ETC/edgezsl.env"
    fi
else
    install -m 0600 "$here/edgezsl.env" "$ETC/edgezsl.env"
fi
if [ -n "$classes" ]; then
    install --compare --backup=numbered -m 0644 "$classes" "$ETC/classes.yaml"
elif [ ! -e "$ETC/classes.yaml" ]; then
    install -m 0644 "$here/classes.yaml" "$ETC/classes.yaml"
fi
if booted; then systemctl daemon-reload; fi

step "what edgezsl finds here"
as_edgezsl "$VENV/bin/edgezsl" doctor || echo "note: edgezsl doctor found something broken, see above"

if [ "$PLANS" = yes ]; then
    step "TensorRT's plan"
    if agreed "$compile" "Build it now? It takes minutes, and without it the CPU computes."; then
        as_edgezsl "$VENV/bin/edgezsl" compile ${RUN_BUNDLE:+"$RUN_BUNDLE"} ||
            echo "note: no plan, see above: ONNX Runtime computes until edgezsl compile succeeds"
    else
        echo "later: sudo runuser -u edgezsl -- $VENV/bin/edgezsl compile${RUN_BUNDLE:+ $RUN_BUNDLE}"
    fi
fi

step "the service"
if agreed "$start" "Start it now, and at every start of this machine?"; then
    systemctl enable edgezsl.service
    if booted; then
        systemctl restart edgezsl.service # returns when the first frame is answered, or says what is wrong
        systemctl --no-pager status edgezsl.service
    fi
else
    echo "later: sudo systemctl enable --now edgezsl"
fi
