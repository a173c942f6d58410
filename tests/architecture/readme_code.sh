#!/usr/bin/env bash
# The C++ of the READMEs.
#   tests/architecture/readme_code.sh OUTDIR README.md...   writes each ```cpp block to OUTDIR/FOLDER_README_N.cpp (of the
#     root's README: readme_N.cpp) and prints these names. Lines keep the numbers they have in the README.
#   tests/architecture/readme_code.sh --run PROGRAM SOURCE README.md   runs the program made of the block SOURCE: on
#     README.md, for a minute at most, when the block reads argv[1]
set -euo pipefail
export LC_ALL=C
die() { printf 'readme_code: %s\n' "$*" >&2; exit 1; }

if [[ ${1:-} == --run ]]; then
  (($# == 4)) || die "--run needs PROGRAM SOURCE README.md"
  status=0
  if grep -qF 'argv[1]' "$3"; then timeout 60 "$2" "$4" || status=$?; else timeout 60 "$2" || status=$?; fi
  # A program that is still busy with its data after a minute is as good as one that has ended.
  ((status == 0)) || { ((status == 124)) && grep -qF 'argv[1]' "$3"; } || die "$2 ended with exit code $status"
  exit 0
fi

(($# >= 2)) || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
outdir=$1
shift
mkdir -p -- "$outdir"
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
made=()
for readme in "$@"; do
  [[ -f $readme ]] || die "there is no $readme"
  readme=$(cd -- "$(dirname -- "$readme")" && pwd -P)/${readme##*/}
  folder=${readme%/*} folder=${folder#"$root"} folder=${folder#/}
  prefix=${folder//\//_}${folder:+_}readme
  scratch=$(mktemp -d "$outdir/.extract.XXXXXX")
  awk -v out="$scratch/$prefix" -v readme="$readme" '
    function finish(    name, i) {
      name = out "_" ++count ".cpp"
      if (!has_include) {
        print "#include <unroll/layers/layers.h>\n#include <unroll/optim/optim.h>" >name
        if (has_test) print "#include <doctest/doctest.h>" >name
        print "using namespace unroll;" >name
      }
      printf "#line %d \"%s\"\n", start, readme >name
      for (i = 1; i <= lines; ++i) print text[i] >name
      close(name)
    }
    /^[ \t]*```cpp[ \t]*\r?$/ && !inside { inside = 1; start = FNR + 1; lines = has_include = has_test = 0; next }
    /^[ \t]*```[ \t]*\r?$/ && inside { inside = 0; finish(); next }
    inside {
      text[++lines] = $0
      if ($0 ~ /^[ \t]*#[ \t]*include/) has_include = 1
      if ($0 ~ /TEST_CASE/) has_test = 1
    }
    END { if (inside) { print "readme_code: " readme ":" start - 1 ": the block has no end" >"/dev/stderr"; exit 1 } }
  ' "$readme"
  for file in "$scratch"/*.cpp; do
    [[ -f $file ]] || continue
    target=$outdir/${file##*/}
    # A file that says the same is left alone, so that it is not compiled again.
    cmp -s -- "$file" "$target" || mv -- "$file" "$target"
    made+=("$target")
  done
  rm -r -- "$scratch"
done
((${#made[@]})) || die "no \`\`\`cpp block in: $*"
printf '%s\n' "${made[@]}"
