#!/usr/bin/env bash
# Trains again what models/README.md measures.
#   models/reproduce.sh PROGRAM DATA [NAME...]   the commands whose names begin with one of NAME, on the folder DATA; each
#     prints its metrics as its last line. Without a name: what there is.
set -euo pipefail
program=$1 data=$2
shift 2

# name, what train is given; paths are under DATA
commands() {
  cat <<'END'
char-lm char-lm --data char_lm/tinyshakespeare.txt --cell gru --epochs 10
word-lm word-lm --data word_lm/ptb.train.txt --valid word_lm/ptb.valid.txt --shards 1
pixels pixels --data long_range/train-images-idx3-ubyte.gz long_range/train-labels-idx1-ubyte.gz
speech-strings speech --data speech/fsdd_train.tar.gz
speech-vowels vowels --data speech/japanese_vowels/ae.train --test speech/japanese_vowels/ae.test
music music --data music/jsb_chorales_train.txt --valid music/jsb_chorales_valid.txt --test music/jsb_chorales_test.txt
sentiment-stars sentiment --data sentiment/womens_clothing_train.csv.gz --target stars
sentiment-recommended sentiment --data sentiment/womens_clothing_train.csv.gz --target recommended
sentiment-sst5 sentiment --data sentiment/sst_train.txt --valid sentiment/sst_dev.txt --target sentiment5
sentiment-sst2 sentiment --data sentiment/sst_train.txt --valid sentiment/sst_dev.txt --target sentiment2
sentiment-tree sentiment --data sentiment/sst_train.txt --valid sentiment/sst_dev.txt --target sentiment5 --model tree
dna-splice dna --data dna/splice_train.data --folds 10
dna-promoters dna --data dna/human_TATA_promoters.txt
dna-genome dna --data dna/lambda_virus.fa
translate-multi30k translate --data mt/multi30k/train.de.gz mt/multi30k/train.en.gz --valid mt/multi30k/val.de.gz mt/multi30k/val.en.gz
translate-tatoeba translate --data mt/tatoeba_eng_fra_train.txt.gz --epochs 8
video video --data video/jhmdb_pose_split1_train.csv.gz --folds 5
ner-wikiann ner --data ner/wikiann_en_train.conll --valid ner/wikiann_en_dev.conll
ner-wnut ner --data ner/wnut17_train.conll --valid ner/wnut17_dev.conll
END
}

if (($# == 0)); then
  echo "reproduce: say which of these, or the beginning of several names:" >&2
  commands | cut -d' ' -f1
  exit 0
fi
[[ -d $data ]] || { echo "reproduce: there is no folder $data (set UNROLL_DATA)" >&2; exit 2; }
for wanted in "$@"; do
  found=
  while read -r name arguments; do
    [[ $name == "$wanted"* ]] || continue
    found=1
    read -ra words <<<"$arguments"
    for i in "${!words[@]}"; do [[ ! -e $data/${words[i]} || ${words[i]} != */* ]] || words[i]=$data/${words[i]}; done
    echo "== $name: unroll train $arguments" >&2
    start=$SECONDS
    "$program" train "${words[@]}" --out "$(mktemp -u --suffix=.safetensors)" </dev/null
    echo "== $name took $((SECONDS - start)) s" >&2
  done < <(commands)
  [[ $found ]] || { echo "reproduce: there is nothing named $wanted" >&2; exit 2; }
done
