#!/bin/sh
# The conformance suite and the table of device kernels on a machine with an NVIDIA card and nothing but its driver.
#
#   bench/Kernels/nvidia.sh pack FOLDER           here, where the .NET SDK is: a folder that needs no .NET to run
#   FOLDER/nvidia.sh run [TERAFLOPS] > table.md   there: the card's float32 rate gives the share of the roofline
#
# It ends with 1 where there is no card or a result is wrong. What it prints belongs into RESULTS.md, with the card's name.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
case "${1:-}" in
pack)
    [ $# = 2 ] || { echo "usage: $0 pack FOLDER" >&2; exit 2; }
    dotnet publish "$here" -c Release -r linux-x64 --self-contained -o "$2"
    cp "$here/nvidia.sh" "$2"
    echo "Copy $2 to the machine with the card and run $(basename "$2")/nvidia.sh run there." >&2
    ;;
run)
    table=$(mktemp)
    trap 'rm -f "$table"' EXIT
    command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,memory.total --format=csv >&2
    "$here/EmScan.Bench.Kernels" --devices ${2:+--flops "$2"} --output "$table" >&2
    cat "$table"
    grep -q '^## cuda:' "$table" || { echo "There is no NVIDIA card, or no driver for it." >&2; exit 1; }
    ! grep -q '\*\*wrong\*\*' "$table" || { echo "A device gives wrong results; see the table." >&2; exit 1; }
    ;;
*)
    echo "usage: $0 pack FOLDER | run [TERAFLOPS]" >&2
    exit 2
    ;;
esac
