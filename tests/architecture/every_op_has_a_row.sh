#!/usr/bin/env bash
# Names every public op of autograd/ops that has no row in tests/autograd/ops, and fails if there is one.
#   tests/architecture/every_op_has_a_row.sh [SOURCE_DIR]
set -euo pipefail
export LC_ALL=C

source_dir=${1:-$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)}

# Functions at namespace scope outside of `detail`. formula.h and record.h are how ops are made, and hold none.
public_ops() {
  find "$source_dir"/autograd/ops -name '*.h' ! -name formula.h ! -name record.h -print0 | sort -z | xargs -0 awk '
    FNR == 1 { hidden = 0 }
    /^namespace detail \{/ { hidden = 1 }
    /^\}  \/\/ namespace detail/ { hidden = 0 }
    hidden { next }
    match($0, /^[A-Za-z_][A-Za-z_0-9:<>, ]* (operator[-+*\/]|[a-z_0-9]+)\(/) {
      name = substr($0, RSTART, RLENGTH - 1)
      sub(/^.* /, "", name)
      if (name == "operator-") name = $0 ~ /,/ ? "sub" : "neg"
      if (name == "operator+") name = "add"
      if (name == "operator*") name = "mul"
      if (name == "operator/") name = "div"
      print name
    }' | sort -u
}

# A row is written row("name", or by a helper that takes the name first. An op that is no function of operands alone has a
# test case that says so: // row("name") ...
rows() {
  cat "$source_dir"/tests/autograd/ops/*_test.cpp | tr '\n' ' ' |
    grep -oE '(row|add|variant|product_row|element<[123]>)\( *"[a-z_0-9]+"' | sed -E 's/.*"([a-z_0-9]+)"$/\1/' | sort -u
}

ops=$(public_ops)
count=$(wc -l <<<"$ops")
if ((count < 50)); then
  echo "every_op_has_a_row: only $count ops were found in $source_dir/autograd/ops: has their form changed?" >&2
  exit 1
fi
missing=$(comm -23 <(printf '%s\n' "$ops") <(rows))
if [[ -n $missing ]]; then
  while read -r op; do echo "every_op_has_a_row: $op has no row in tests/autograd/ops" >&2; done <<<"$missing"
  exit 1
fi
echo "every_op_has_a_row: $count ops, each has a row"
