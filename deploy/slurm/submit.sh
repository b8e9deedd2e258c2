#!/bin/bash
# Divides one emscan command among N tasks of a Slurm array, and merges when they have ended.
#
#   deploy/slurm/submit.sh N OUT scan --model /shared/model.gguf --adapters /shared/adapters
#
# N      tasks; each measures its share
# OUT    folder on a file system that all nodes see: measurements, results, logs
# rest   any emscan command that takes --shard, without --out and --shard
#
# EMSCAN             the program (default: emscan on the PATH)
# EMSCAN_CACHE       the cache, on a file system that all nodes see (default: OUT/cache)
# EMSCAN_SHARD_JOB   the script of a task (default: shard.sbatch beside this one; shard-gpu.sbatch for a GPU each)
# EMSCAN_MERGE_JOB   the script of the merge (default: merge.sbatch beside this one)
# SBATCH_*           sbatch's own variables: SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT, ...
set -euo pipefail

if [ "$#" -lt 3 ]; then
    echo "usage: $0 N OUT COMMAND [OPTION]..." >&2
    exit 2
fi

here=$(cd "$(dirname "$0")" && pwd)
shards=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
shift 2

export EMSCAN_SHARDS=$shards
export EMSCAN_CACHE=${EMSCAN_CACHE:-$out/cache}
log=$out/logs
mkdir -p "$log" "$EMSCAN_CACHE"

array=$(sbatch --parsable --array="0-$((shards - 1))" --output="$log/shard-%A_%a.log" "${EMSCAN_SHARD_JOB:-$here/shard.sbatch}" "$@" --out "$out")

# After any end, not only a good one: where a task has failed, the merge says what is missing and which task to submit again.
merge=$(sbatch --parsable --dependency="afterany:${array%%;*}" --output="$log/merge-%j.log" "${EMSCAN_MERGE_JOB:-$here/merge.sbatch}" "$out")

echo "$shards shards: job ${array%%;*}; merge: job ${merge%%;*}; logs in $log"
