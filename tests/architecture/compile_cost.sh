#!/usr/bin/env bash
# Fails when a small user's file takes too much of the processor's time, or memory, to compile. A run that is too slow has two
# more chances. Where the machine is slow, three times what the headers of xtensor, xsimd and fmt alone take is the limit.
#   tests/architecture/compile_cost.sh FILE COMPILER [FLAG...]
# UNROLL_COMPILE_SECONDS (5) and UNROLL_COMPILE_MEGABYTES (700) are the limits.
set -euo pipefail
export LC_ALL=C CCACHE_DISABLE=1

(($# >= 2)) || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
file=$1
shift
seconds=${UNROLL_COMPILE_SECONDS:-5} megabytes=${UNROLL_COMPILE_MEGABYTES:-700}
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
compile=("$@" -O2 -c "$file" -o "$scratch/object.o")

# Sets kilobytes to the most that the compiler, or a process it started, has had in memory.
measure_memory() {
  local time pid status line
  kilobytes=0
  time=$(type -P time || true)
  if [[ $time ]] && "$time" -f %M -o "$scratch/peak" true 2>/dev/null; then
    "$time" -f %M -o "$scratch/peak" "${compile[@]}"
    kilobytes=$(tail -n 1 "$scratch/peak")
    return
  fi
  # Without GNU time the kernel is asked while the compiler runs.
  "${compile[@]}" &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    for status in /proc/"$pid"/status $(sed "s|[^ ]*|/proc/&/status|g" "/proc/$pid/task/$pid/children" 2>/dev/null); do
      line=$(grep '^VmHWM:' "$status" 2>/dev/null) || continue
      line=${line//[!0-9]/}
      ((line <= kilobytes)) || kilobytes=$line
    done
    sleep 0.02
  done
  wait "$pid"
}

cat >"$scratch/packages.cpp" <<'END'
#include <fmt/core.h>
#include <xsimd/xsimd.hpp>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
int main() {
  xt::xarray<float> a{1, 2};
  fmt::print("{}", a(0));
}
END

# Makes `taken` the processor's seconds for a command, if they are fewer.
least() {
  TIMEFORMAT=%U
  { time "$@" 2>"$scratch/errors" || touch "$scratch/failed"; } 2>"$scratch/seconds"
  [[ ! -e $scratch/failed ]] || { cat "$scratch/errors" >&2; echo "compile_cost: $file does not compile" >&2; exit 1; }
  taken=$(awk -v now="$(tail -n 1 "$scratch/seconds")" -v best="$taken" 'BEGIN { print best == "" || now < best ? now : best }')
}

best='' packages=''
for _ in 1 2 3; do
  taken=$best
  least "${compile[@]}"
  best=$taken
  awk -v is="$best" -v most="$seconds" 'BEGIN { exit !(is <= most) }' && break
  taken=$packages
  least "${compile[@]:0:${#compile[@]}-5}" -O2 -c "$scratch/packages.cpp" -o "$scratch/packages.o"
  packages=$taken
  seconds=$(awk -v p="$packages" -v most="${UNROLL_COMPILE_SECONDS:-5}" 'BEGIN { print (3 * p > most ? 3 * p : most) }')
  awk -v is="$best" -v most="$seconds" 'BEGIN { exit !(is <= most) }' && break
done
measure_memory
echo "compile_cost: $best s of at most $seconds, $((kilobytes / 1024)) MB of at most $megabytes"
((kilobytes > 50 * 1024)) || { echo "compile_cost: the compiler's memory could not be measured" >&2; exit 1; }
awk -v is="$best" -v most="$seconds" 'BEGIN { exit !(is <= most) }' || { echo "compile_cost: too slow" >&2; exit 1; }
((kilobytes <= megabytes * 1024)) || { echo "compile_cost: too much memory" >&2; exit 1; }
