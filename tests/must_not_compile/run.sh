#!/usr/bin/env bash
# Compiles FILE, which must fail with a message that its first line, "// expect: REGEX", names
# (or must succeed, when that line is "// compiles").
#   tests/must_not_compile/run.sh FILE COMPILER [FLAG...]
set -euo pipefail
export LC_ALL=C

(($# >= 2)) || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
file=$1
shift
IFS= read -r first <"$file"
status=0
errors=$("$@" -fsyntax-only "$file" 2>&1) || status=$?

if [[ $first == "// compiles" ]]; then
  ((status == 0)) && exit
  printf '%s\n%s: must compile, and does not: no other result means anything\n' "$errors" "$file" >&2
  exit 1
fi
expected=${first#// expect: }
[[ $expected != "$first" && $expected ]] || { echo "$file:1: must read \"// expect: REGEX\" or \"// compiles\"" >&2; exit 1; }
((status != 0)) || { echo "$file: compiles, and must not (expected: $expected)" >&2; exit 1; }
# Of errors and their notes only: a warning, or an echo of the source, is no reason.
if ! grep -E ': (fatal )?(error|note): ' <<<"$errors" | grep -E -- "$expected" >/dev/null; then
  printf '%s\n%s: fails to compile, but not with: %s\n' "$errors" "$file" "$expected" >&2
  exit 1
fi
