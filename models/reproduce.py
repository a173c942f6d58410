"""Trains again what models/README.md measures: ./run reproduce [NAME...] [--seeds N]

Without a name, all of them, which takes hours; those whose data are not there are left out. Each training prints its
metrics as its last lines; what follows is the mean of each metric over the seeds, and the smallest and the largest, and
at the end all of these again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

# name: what train is given; what has a slash in it lies under the folder of the data
TRAININGS = {
    "char-lm": "char-lm --data char_lm/tinyshakespeare.txt --cell gru --epochs 10",
    "word-lm": "word-lm --data word_lm/ptb.train.txt --valid word_lm/ptb.valid.txt --shards 1",
    "word-lm-tied": "word-lm --data word_lm/ptb.train.txt --valid word_lm/ptb.valid.txt --hidden 400 --embed 400 --tied"
                    " --dropout 0.4 --dropout-input 0.2 --steps 30 --epochs 20 --hold 9 --factor 0.75 --init 0.07 --minutes 90",
    "pixels": "pixels --data long_range/train-images-idx3-ubyte.gz long_range/train-labels-idx1-ubyte.gz",
    "speech-strings": "speech --data speech/fsdd_train.tar.gz",
    "speech-speaker": "speech --data speech/fsdd_train.tar.gz --speaker theo",
    "speech-vowels": "vowels --data speech/japanese_vowels/ae.train --test speech/japanese_vowels/ae.test"
                     " --blocks 31,35,88,44,29,24,40,50,29",  # archive.ics.uci.edu/dataset/128 says so of the test
    "music": "music --data music/jsb_chorales_train.txt --valid music/jsb_chorales_valid.txt"
             " --test music/jsb_chorales_test.txt",
    "sentiment-stars": "sentiment --data sentiment/womens_clothing_train.csv.gz --target stars",
    "sentiment-recommended": "sentiment --data sentiment/womens_clothing_train.csv.gz --target recommended",
    "sentiment-sst5": "sentiment --data sentiment/sst_train.txt --valid sentiment/sst_dev.txt --target sentiment5",
    "sentiment-sst2": "sentiment --data sentiment/sst_train.txt --valid sentiment/sst_dev.txt --target sentiment2",
    "sentiment-tree": "sentiment --data sentiment/sst_train.txt --valid sentiment/sst_dev.txt --target sentiment5"
                      " --model tree",
    "sentiment-tree2": "sentiment --data sentiment/sst_train.txt --valid sentiment/sst_dev.txt --target sentiment2"
                       " --model tree",
    "dna-splice": "dna --data dna/splice_train.data --folds 10",
    "dna-promoters": "dna --data dna/human_TATA_promoters.txt",
    "dna-genome": "dna --data dna/lambda_virus.fa",
    "translate-multi30k": "translate --data mt/multi30k/train.de.gz mt/multi30k/train.en.gz"
                          " --valid mt/multi30k/val.de.gz mt/multi30k/val.en.gz",
    "translate-tatoeba": "translate --data mt/tatoeba_eng_fra_train.txt.gz --epochs 8",
    "video": "video --data video/jhmdb_pose_split1_train.csv.gz --folds 5",
    "ner-wikiann": "ner --data ner/wikiann_en_train.conll --valid ner/wikiann_en_dev.conll",
    "ner-wnut": "ner --data ner/wnut17_train.conll --valid ner/wnut17_dev.conll",
    "adding-gru": "adding --cell gru --steps 600",
    "adding-lstm": "adding --cell lstm --steps 600",
    "copy": "copy --cell gru --steps 50 --hidden 256 --rate 0.002 --updates 10000",
}


def fail(text, code):
    print(f"reproduce: {text}", file=sys.stderr)
    sys.exit(code)


def train(program, data, name, seed, folder):
    """The metrics of each split, as the program prints them, and the minutes."""
    words = [os.path.join(data, word) if "/" in word else word for word in TRAININGS[name].split()]
    command = [program, "train", *words, "--seed", str(seed), "--json"]
    if "--folds" not in words:  # which keep no model
        command += ["--out", os.path.join(folder, f"{name}-{seed}.safetensors")]
    start = time.monotonic()
    results, fields = {}, {}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            fields = json.loads(line)
            split = fields.get("split", "")
            if split and not split.startswith("fold "):
                results[split] = {k: v for k, v in fields.items() if isinstance(v, float)}
    if not results:  # a synthetic task has no splits: the last line is its score on held-out sequences
        results["held out"] = {k: v for k, v in fields.items() if isinstance(v, float)}
    if process.returncode != 0:
        fail(f"'{' '.join(command[1:])}' ended with exit code {process.returncode}", process.returncode)
    return results, (time.monotonic() - start) / 60


def missing(data, name):
    """The first file of a training that is not in the folder of the data, or None."""
    return next((word for word in TRAININGS[name].split()
                 if "/" in word and not os.path.exists(os.path.join(data or "", word))), None)


def summary(name, runs):
    """Of each metric of each split the mean over the runs, and the smallest and the largest."""
    lines = []
    for split in runs[0][0]:
        for metric in runs[0][0][split]:
            seen = [results[split][metric] for results, _ in runs if metric in results.get(split, {})]
            lines.append(f"{name}, {split}, {metric}: {statistics.mean(seen):.4g}"
                         + (f" ({min(seen):.4g} .. {max(seen):.4g})" if len(seen) > 1 else ""))
    minutes = statistics.mean(m for _, m in runs)
    lines.append(f"{name}: {len(runs)} seed{'s' if len(runs) > 1 else ''}, {minutes:.1f} minutes each")
    return lines


def main():
    parser = argparse.ArgumentParser(prog="./run reproduce", description="Trains again what models/README.md measures.",
                                     allow_abbrev=False)
    parser.add_argument("--program", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--data", help="the folder of the data; by default what UNROLL_DATA says")
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings of each, with the seeds 1, 2, ...")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="without one, all; or the beginning of several: " + ", ".join(TRAININGS))
    o = parser.parse_intermixed_args()
    if o.seeds < 1:
        fail(f"--seeds {o.seeds} is not 1 or more", 2)
    chosen = []
    for wanted in o.names:
        names = [wanted] if wanted in TRAININGS else [name for name in TRAININGS if name.startswith(wanted)]
        if not names:
            fail(f"there is nothing named {wanted}; there is {', '.join(TRAININGS)}", 2)
        chosen += [name for name in names if name not in chosen]
    if any("/" in TRAININGS[name] for name in chosen) and (o.data is None or not os.path.isdir(o.data)):
        fail(f"there is no folder {o.data} (set UNROLL_DATA)", 2)
    there = []
    for name in chosen or TRAININGS:
        if file := missing(o.data, name):
            print(f"{name} is left out: {o.data} has no {file}", file=sys.stderr)
        else:
            there.append(name)
    if not there:
        fail("nothing is left to train", 2)
    folder = tempfile.mkdtemp(prefix="unroll-")
    print(f"the models are in {folder}", file=sys.stderr)
    lines = []
    for name in there:
        runs = []
        for seed in range(1, o.seeds + 1):
            print(f"== {name}, seed {seed}: unroll train {TRAININGS[name]}", file=sys.stderr, flush=True)
            runs.append(train(o.program, o.data, name, seed, folder))
        said = summary(name, runs)
        print("\n".join(said), file=sys.stderr, flush=True)
        lines += said
    if len(there) > 1:
        print("\n".join(["==", *lines]), file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
