#!/usr/bin/env bash
# Fuzzes the readers of files with AFL++ and SharpFuzz: tests/Fuzz/run.sh SECONDS [TARGET...], one target after another (all of them
# without names; 'dotnet run --project tests/Fuzz -- list'). Findings are left in artifacts/fuzz/out/TARGET; exit code 1 if there are any.
# EMSCAN_FUZZ_BUILT=1 takes the instrumented build of an earlier call, to run several side by side.
# A finding that is mended goes to tests/Fuzz/findings/TARGET, which the tests run through from then on.
set -euo pipefail
seconds=${1:?"usage: run.sh SECONDS [TARGET...]"}; shift
cd "$(dirname "$0")/../.."
command -v afl-fuzz >/dev/null || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq afl++ >/dev/null; }

work=artifacts/fuzz
if [ "${EMSCAN_FUZZ_BUILT:-}" != 1 ]; then
    dotnet build tests/Fuzz -c Release -v q
    rm -rf "$work/bin"; mkdir -p "$work"; cp -r tests/Fuzz/bin/Release/net10.0 "$work/bin"

    # The copy is instrumented by the program that lies elsewhere; the YAML parser is part of what is fuzzed.
    dotnet tests/Fuzz/bin/Release/net10.0/EmScan.Fuzz.dll instrument "$work/bin/EmScan.Engine.dll" "$work/bin/YamlDotNet.dll"
fi

export AFL_SKIP_BIN_CHECK=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_FORKSRV_INIT_TMOUT=60000
export DOTNET_TieredPGO=0 DOTNET_gcServer=0 DOTNET_DbgEnableMiniDump=0
[ $# -gt 0 ] || set -- $(dotnet "tests/Fuzz/bin/Release/net10.0/EmScan.Fuzz.dll" list)
status=0
for target in "$@"; do
    out=$work/out/$target; rm -rf "$out"; mkdir -p "$out/in"
    cp tests/Fuzz/corpus/"$target"/* "$out/in/"
    [ ! -d "tests/Fuzz/findings/$target" ] || cp tests/Fuzz/findings/"$target"/* "$out/in/"
    afl-fuzz -i "$out/in" -o "$out" -V "$seconds" -t 10000 -m none -- dotnet "$work/bin/EmScan.Fuzz.dll" afl "$target" >"$out/log" 2>&1 || { tail -20 "$out/log"; status=1; }
    value() { sed -n "s/^$1 *: //p" "$out/default/fuzzer_stats"; }
    crashes=$(find "$out/default/crashes" "$out/default/hangs" -name 'id:*' 2>/dev/null | wc -l)
    echo "$target: $(value run_time) s, $(value execs_done) executions ($(value execs_per_sec)/s), $(value corpus_count) inputs kept, $(value edges_found) edges, $crashes findings"
    [ "$crashes" -eq 0 ] || status=1
done
exit $status
