#!/usr/bin/env bash
# Who may include whom, and what a header may hold. Names file and line of each breach.
#   tests/architecture/includes.sh [SOURCE_DIR]
#   tests/architecture/includes.sh --self-test [SOURCE_DIR]   breaks each rule in a copy and expects to hear of it
set -euo pipefail
export LC_ALL=C

self_test=
if [[ ${1:-} == --self-test ]]; then self_test=1; shift; fi
source_dir=$(cd -- "${1:-$(dirname -- "${BASH_SOURCE[0]}")/../..}" && pwd -P)
folders=(autograd layers optim models tests bench)

# check DIR: one line per breach.
check() (
  cd -- "$1"
  local present=() folder
  for folder in "${folders[@]}"; do [[ ! -d $folder ]] || present+=("$folder"); done
  find "${present[@]}" -type f \( -name '*.h' -o -name '*.cpp' \) | sort >"$scratch/files"
  # The list comes first: by it an included file is known to exist.
  xargs awk '
    function breach(line, text) { print FILENAME ":" line ": " text }
    # The place in the order of things: what stands in a folder may include what `may` lists for it.
    function part(path) {
      if (match(path, /^autograd\/(tensor|tape|ops|check)\//)) return substr(path, 1, RLENGTH - 1)
      sub(/\/.*/, "", path)
      return path
    }
    function allow(from, list,    n, i, names) {
      n = split(list, names, " ")
      for (i = 1; i <= n; ++i) may[from, names[i]] = 1
    }
    BEGIN {
      tensor = "autograd/tensor"
      tape = tensor " autograd/tape"
      ops = tape " autograd/ops"
      autograd = ops " autograd/check autograd"
      allow("autograd/tensor", tensor)
      allow("autograd/tape", tape)
      allow("autograd/ops", ops)
      allow("autograd/check", ops " autograd/check")
      allow("autograd", autograd)
      allow("layers", autograd " layers")
      allow("optim", autograd " optim")
      allow("models", autograd " layers optim models")
      allow("tests", autograd " layers optim models")
      allow("bench", autograd " layers optim models")
      door["xtensor"] = door["xtl"] = "autograd/tensor/tensor.h"
      door["xsimd"] = "autograd/tensor/simd.h"
    }
    FILENAME == ARGV[1] {
      exists[$0] = 1
      name = $0
      sub(/.*\//, "", name)
      if (name != "main.cpp") {
        if (name in first) print $0 ":1: another file has this name: " first[name]
        else first[name] = $0
      }
      next
    }
    FNR == 1 {
      if (header != "" && !once) print header ":1: a header without #pragma once"
      header = FILENAME ~ /\.h$/ ? FILENAME : ""
      once = 0
      mine = part(FILENAME)
      library = FILENAME ~ /^(autograd|layers|optim|models)\//
    }
    { sub(/\r$/, "") }
    /^[ \t]*#[ \t]*pragma[ \t]+once/ { once = 1 }
    header != "" && library && /^[ \t]*#[ \t]*define[ \t]+[A-Za-z_0-9]+\(/ { breach(FNR, "a function-like macro in a public header") }
    header != "" && /^[^"]*using[ \t]+namespace[ \t]/ && !/^[ \t]*\/\// { breach(FNR, "using namespace in a header") }
    /^[ \t]*#[ \t]*include/ {
      path = $0
      if (!match(path, /[<"][^>"]*[>"]/)) { breach(FNR, "an include that is neither <...> nor \"...\""); next }
      quoted = substr(path, RSTART, 1) == "\""
      path = substr(path, RSTART + 1, RLENGTH - 2)
      root = path
      sub(/[\/.].*/, "", root)
      if (path ~ /^unroll\//) {
        target = substr(path, 8)
        if (quoted) breach(FNR, "write <" path ">")
        if (!(target in exists) || target !~ /^(autograd|layers|optim|models)\//) breach(FNR, "there is no " path)
        else if (!((mine, part(target)) in may)) breach(FNR, mine " must not include " part(target) " (" path ")")
        next
      }
      # Helpers of tests and benchmarks are named from their own folder.
      if (!library && ((mine "/" path) in exists)) {
        if (quoted) breach(FNR, "write <" path ">")
        next
      }
      if (quoted || root ~ /^(autograd|layers|optim|models|tests|bench)$/) {
        breach(FNR, "our own files are included as <unroll/folder/file.h> (" path ")")
        next
      }
      if (library && (root in door) && FILENAME != door[root]) breach(FNR, root " is included by " door[root] " only")
    }
    END { if (header != "" && !once) print header ":1: a header without #pragma once" }
  ' "$scratch/files" <"$scratch/files" | sort -u
)

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

if [[ ! $self_test ]]; then
  breaches=$(check "$source_dir")
  if [[ -n $breaches ]]; then
    printf '%s\n' "$breaches" >&2
    echo "includes: $(wc -l <<<"$breaches") breaches" >&2
    exit 1
  fi
  count=$(wc -l <"$scratch/files")
  ((count >= 60)) || { echo "includes: only $count files in $source_dir: have the folders moved?" >&2; exit 1; }
  echo "includes: $count files keep the rules"
  exit
fi

copy=$scratch/copy
mkdir -- "$copy"
for folder in "${folders[@]}"; do [[ ! -d $source_dir/$folder ]] || cp -R -- "$source_dir/$folder" "$copy/"; done
before=$(check "$copy")
failures=0 rules=0

# plant WHAT FILE TEXT EXPECTED: appends TEXT to FILE (new, or one that is there) and wants one breach, on its last line,
# that contains EXPECTED.
plant() {
  local what=$1 file=$copy/$2 name=$2 text=$3 expected=$4 line added old=
  [[ ! -f $file ]] || old=$(cat -- "$file"; echo x)
  rules=$((rules + 1))
  mkdir -p -- "${file%/*}"
  printf '%s\n' "$text" >>"$file"
  line=$(wc -l <"$file")
  [[ $expected != *"#pragma once"* && $expected != "another file"* ]] || line=1
  added=$(comm -13 <(printf '%s\n' "$before") <(check "$copy" | sort))
  if [[ $(wc -l <<<"$added") == 1 && $added == "$name:$line: "*"$expected"* ]]; then
    echo "caught: $what: $added"
  else
    echo "includes: missed: $what: expected \"$name:$line: ...$expected...\", got \"$added\"" >&2
    failures=$((failures + 1))
  fi
  if [[ $old ]]; then printf '%s' "${old%x}" >"$file"; else rm -- "$file"; fi
}
once='#pragma once'
plant "tensor includes tape" autograd/tensor/shape.cpp '#include <unroll/autograd/tape/tape.h>' 'autograd/tensor must not include autograd/tape'
plant "tape includes ops" autograd/tape/tape.cpp '#include <unroll/autograd/ops/record.h>' 'autograd/tape must not include autograd/ops'
plant "ops include check" autograd/ops/reduce.h '#include <unroll/autograd/check/gradients.h>' 'autograd/ops must not include autograd/check'
plant "check includes the umbrella" autograd/check/gradients.h '#include <unroll/autograd/autograd.h>' 'autograd/check must not include autograd'
plant "autograd includes layers" autograd/autograd.h '#include <unroll/layers/linear.h>' 'autograd must not include layers'
plant "ops include layers" autograd/ops/loss.h '  #  include <unroll/layers/linear.h>' 'autograd/ops must not include layers'
plant "optim includes layers" optim/adam.h '#include <unroll/layers/linear.h>' 'optim must not include layers'
plant "layers include optim" layers/linear.h '#include <unroll/optim/adam.h>' 'layers must not include optim'
plant "layers include models" layers/linear.h '#include <unroll/models/data/text.h>' 'layers must not include models'
plant "optim includes models" optim/sgd.h '#include <unroll/models/data/text.h>' 'optim must not include models'
plant "models include tests" models/data/text.cpp '#include <unroll/tests/layers/compare.h>' 'there is no unroll/tests/layers/compare.h'
plant "a file that is not there" layers/linear.h '#include <unroll/autograd/ops/no_such.h>' 'there is no unroll/autograd/ops/no_such.h'
plant "an include in quotes" layers/linear.h '#include "init.h"' 'our own files are included as'
plant "an include in quotes, whole" layers/linear.h '#include "unroll/layers/init.h"' 'write <unroll/layers/init.h>'
plant "an include without unroll/" layers/linear.h '#include <layers/init.h>' 'our own files are included as'
plant "a test's include of nothing" tests/tiny_test.cpp '#include <layers/no_such.h>' 'our own files are included as'
plant "no pragma once" layers/without_pragma.h 'struct Planted {};' 'without #pragma once'
plant "no pragma once in a test's header" tests/without_pragma.h 'struct Planted {};' 'without #pragma once'
plant "one name twice" models/tasks/linear.h "$once" 'another file has this name: layers/linear.h'
plant "one test name twice" tests/twice/tiny_test.cpp '// nothing' 'another file has this name: tests/tiny_test.cpp'
plant "a function-like macro" layers/linear.h '#define PLANTED(x) x' 'function-like macro'
plant "using namespace" layers/linear.h 'namespace planted { using namespace std; }' 'using namespace in a header'
plant "xtensor elsewhere" layers/linear.h '#include <xtensor/xview.hpp>' 'xtensor is included by autograd/tensor/tensor.h only'
plant "xsimd elsewhere" autograd/ops/formula.h '#include <xsimd/xsimd.hpp>' 'xsimd is included by autograd/tensor/simd.h only'
[[ $(check "$copy") == "$before" ]] || { echo "includes: the copy was not restored" >&2; exit 1; }
echo "includes: $((rules - failures)) of $rules planted breaches were caught"
((failures == 0))
