#!/usr/bin/env bash
# Compare the head of a pull request with its base, and leave the result in comment.md.
#
# usage: performance-gate.sh BASE_PYTHON HEAD_PYTHON OPTION...
#
# Both interpreters have this program and their version of the framework. The options are those of the verb `gate`, at
# least --framework. Exit status: 0 if the head passes, 1 if it is too slow, another one if there is no comparison.
set -uo pipefail
if [ $# -lt 3 ]; then
  sed -n 's/^# usage: /usage: /p' "$0" >&2
  exit 2
fi
base=$1 head=$2
shift 2
"$head" -m epoch_gap.profiler gate --base "$base" --head "$head" --format md "$@" >comment.md
status=$?
if [ ! -s comment.md ]; then # an interpreter that cannot start the program ends with status 1, too
  [ "$status" -gt 1 ] || status=2
  echo "**No comparison:** the gate ended with status $status; the log of the job has the reason." >comment.md
fi
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
  cat comment.md >>"$GITHUB_STEP_SUMMARY"
fi
exit "$status"
