"""Where the time of a training step goes: ./run bench phases [--shape NAME] [--seconds S]

Samples `unroll_bench train` with perf (Debian: linux-perf), pinned to one core, and sorts the functions by name. What prepares
and checks the benchmark (the tape in double, drawing weights, the measured peak, the kernel) is left out.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

SHAPES = ("char-lstm", "lstm-256", "ptb-small", "ptb-medium", "char-gru", "gru-256", "char-rnn", "mgu-128", "mgu-32",
          "peephole-128", "tagger-ragged")
LEFT_OUT = r"double|fma_peak|orthogonal|init::|^\[k\]|^__(cos|sin|ieee754)"
PHASES = {  # the first whose pattern is found in a function's name
    "products": r"compute<|lone_column",
    "packing": r"pack|deal_out|in_tiles|panel_rows|transpose",
    "formulas": r"rows?_forward|rows?_backward|tail_|FormulaRule|rules::|next_uneven_row|lay_out",
    "loss": r"ross_entropy|CrossEntropy|sum_of_exponentials|simd::max",
    "copies": r"memmove|memcpy|ookup|SelectRows|DistinctRows|GatherRows|gather_rows|scatter|Concat|join|slice|copy",
    "zeroing": r"memset|zero_rest",
    "update": r"Optimizer|sum_of_squares|Gradient<float>::add|clip",
    "tape, rest": r"",
}


def sampled(program, shape, seconds, core, folder):
    """Per cent of the samples of each phase."""
    record = os.path.join(folder, "perf.data")
    command = ["perf", "record", "-o", record, "-e", "cpu-clock", "-F", "2000", "taskset", "-c", str(core), program, "train",
               "--shape", shape, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"phases: '{' '.join(command)}' failed: {done.stderr.strip()}", file=sys.stderr)
        sys.exit(1)
    report = subprocess.run(["perf", "report", "-i", record, "--no-children", "-F", "overhead,sym"], capture_output=True,
                            text=True).stdout
    found = dict.fromkeys(PHASES, 0.0)
    for line in report.splitlines():
        entry = re.match(r"\s*([\d.]+)%\s+(\[.\]) (.*)", line)
        if entry is None:
            continue
        share, mark, name = entry.groups()
        if mark == "[k]" or re.search(LEFT_OUT, name):
            continue
        found[next(phase for phase, pattern in PHASES.items() if re.search(pattern, name))] += float(share)
    total = sum(found.values())
    return {phase: 100 * share / total for phase, share in found.items()}


def main():
    parser = argparse.ArgumentParser(prog="./run bench phases", description="Where the time of a training step goes.")
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--shape", action="append", choices=SHAPES, help="one shape, again for more; without it, all")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to sample each")
    parser.add_argument("--core", type=int, default=0)
    o = parser.parse_args()
    if shutil.which("perf") is None:
        print("phases: there is no perf (Debian: linux-perf)", file=sys.stderr)
        sys.exit(2)
    print("| shape | " + " | ".join(PHASES) + " |")
    print("| --- |" + " --: |" * len(PHASES))
    with tempfile.TemporaryDirectory() as folder:
        for shape in o.shape or SHAPES:
            shares = sampled(o.program, shape, o.seconds, o.core, folder)
            print(f"| `{shape}` | " + " | ".join(f"{share:.0f}" for share in shares.values()) + " |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
