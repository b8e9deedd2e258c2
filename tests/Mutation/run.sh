#!/usr/bin/env bash
# Mutation testing: run.sh [AREA [near]], AREA one of Kernels, Measuring, Verdicts, Drift. The committed tree is copied, all mutants of mutants.txt are put
# into the copy behind a switch, it is built once, and each is switched on while the tests of its area run. Results stay in the folder that is
# printed; MUTATION_FOLDER names one, to go on with what is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${MUTATION_FOLDER:-$(mktemp -d)}
echo "$work"
if [ ! -e "$work/tree/src/Kernels/Mutant.cs" ]; then
    mkdir -p "$work/tree/tests/Mutation"
    git archive HEAD | tar -x -C "$work/tree" --exclude bench
    cp tests/Mutation/*.cs tests/Mutation/mutants.txt tests/Mutation/*.csproj "$work/tree/tests/Mutation/"
    dotnet build "$work/tree/tests/Mutation" -c Release -v q -o "$work/apply" -p:TreatWarningsAsErrors=false
    "$work/apply/EmScan.Mutation" apply "$work/tree"
fi
rm -rf "$work/tree/tests/Mutation/obj"
dotnet build "$work/tree/tests/Mutation" -c Release -v q -p:TreatWarningsAsErrors=false -p:RunAnalyzers=false
program=$work/tree/tests/Mutation/bin/Release/net10.0/EmScan.Mutation
lines() { wc -l < "$work/results.tsv" 2> /dev/null || echo 0; }
before=-1
until "$program" run "$work/results.tsv" "$@"; do
    # A mutant may end the process, or never end; then the next one is tried in another. Nothing new: it is not the mutants.
    now=$(lines)
    [ "$now" -gt "$before" ] || exit 1
    before=$now
done
