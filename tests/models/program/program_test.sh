#!/usr/bin/env bash
# The program from the outside: results, checkpoints, errors and exit codes.
#   program_test.sh PATH_TO_UNROLL WORKDIR
set -uo pipefail
unroll=$1
source_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd -P)
rm -rf -- "$2" && mkdir -p -- "$2" && cd -- "$2" || exit 2
passed=0 failed=0

check() { # check SENTENCE COMMAND...
  local sentence=$1
  shift
  if "$@" >check.log 2>&1; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    echo "FAILED: $sentence"
    head -n 5 check.log
  fi
}
# exits CODE PATTERN COMMAND...: the exit code, and one line on standard error that matches.
exits() {
  local code=$1 pattern=$2 status=0
  shift 2
  "$@" >out.log 2>err.log || status=$?
  [[ $status == "$code" ]] || { echo "exit code $status, not $code"; cat err.log; return 1; }
  [[ -z $pattern ]] || grep -q -- "$pattern" err.log || { echo "standard error does not say '$pattern':"; cat err.log; return 1; }
}
same() { cmp "$1" "$2"; }
not() { ! "$@"; }
wrong() { check "$2: $*" exits 2 "$1" "$unroll" "${@:2}"; }
# interrupted LOG COMMAND...: the exit code after a Ctrl-C, as soon as the first progress is in the log.
interrupted() {
  local log=$1 i pid
  shift
  "$@" >"$log" 2>&1 &
  pid=$!
  for ((i = 0; i < 400; ++i)); do grep -qs "^epoch 1 of .* loss" "$log" && break; sleep 0.05; done
  kill -INT "$pid"
  wait "$pid"
}

words=(the apple and pear salad tastes of summer while a river sings to old stones under grey bridges)
text() { # a text with some order in it, the same each time
  local i j=$1
  for ((i = 0; i < 400; ++i)); do
    j=$(((j * 7 + 3) % 17))
    printf '%s %s %s\n' "${words[j]}" "${words[(j + 1) % 17]}" "${words[(j + 2) % 17]}"
  done
}
text 5 >text.txt
tiny=(--data text.txt --hidden 12 --embed 6 --layers 2 --steps 10 --batch 8 --epochs 2 --dropout 0.2)
train() { "$unroll" train char-lm "${tiny[@]}" "$@" >train.log 2>&1; }

# Results

for cell in rnn mgu lstm-peephole gru lstm; do
  check "$cell trains" train --cell "$cell" --out "$cell.safetensors"
  check "$cell samples" "$unroll" sample "$cell.safetensors" --length 5
done
check "a cell is its own" not same gru.safetensors lstm.safetensors
parameters() { "$unroll" train char-lm "${tiny[@]}" --max-steps 1 --out of.safetensors --cell "$1" 2>&1 | sed -n 's/.* with \([0-9]*\) parameters.*/\1/p'; }
check "and has its own parameters" test "$(parameters mgu)" -lt "$(parameters gru)"
check "a word model trains" train --words --out words.safetensors
check "a word model reports perplexity" grep -q '^task word-lm .*perplexity' train.log
check "the same seed gives the same file" train --out again.safetensors
check "the same seed gives the same bits" same lstm.safetensors again.safetensors
check "one thread trains" train --threads 1 --out alone.safetensors
check "the number of threads changes no bit" same lstm.safetensors alone.safetensors
check "another seed trains" train --seed 2 --out other.safetensors
check "another seed gives another model" not same lstm.safetensors other.safetensors
check "json is printed" bash -c "'$unroll' train char-lm ${tiny[*]} --out j.safetensors --json 2>/dev/null >json.log"
check "every line of json is an object" not grep -qv '^{.*}$' json.log
check "the last line is the metrics" bash -c 'tail -n 1 json.log | grep -q "\"task\":\"char-lm\",\"split\":\"valid\",\"nats_per_token\":[0-9.]*,\"bits_per_character\":[0-9.]*,\"tokens_per_second\":"'

check "sampling goes on from the prompt" bash -c "'$unroll' sample lstm.safetensors --prompt 'the apple' --length 20 | grep -q '^the apple'"
for option in "--temperature 0" "--top-k 1" "--top-p 0.000001"; do
  "$unroll" sample lstm.safetensors --length 40 $option >sample.txt 2>&1
  "$unroll" sample lstm.safetensors --length 40 --temperature 0 --seed 9 >greedy.txt 2>&1
  check "sampling with $option takes the likeliest" same sample.txt greedy.txt
done
check "words are sampled" "$unroll" sample words.safetensors --prompt "the apple" --length 5
check "a longer training" train --epochs 30 --rate 0.01 --dropout 0 --out good.safetensors
log_probability() { "$unroll" score good.safetensors --text "$1" --json | head -n 1 | sed 's/.*"log_probability":\([-0-9.e+]*\).*/\1/'; }
better() { awk -v a="$(log_probability "$1")" -v b="$(log_probability "$2")" 'BEGIN { exit !(a > b) }'; }
check "a sentence of the language is likelier than a scrambled one" better "the apple and" "eht elppa dna"
check "a file is evaluated" "$unroll" eval lstm.safetensors --data text.txt --json
cp check.log eval.log
check "in bits per character" grep -q '"task":"char-lm","split":"eval","nats_per_token":[0-9.]*,"bits_per_character":[0-9.]*,"tokens":' eval.log
check "prompts are gone on from" bash -c "'$unroll' run lstm.safetensors 'the apple' | grep -q '^the apple'"
gzip -k text.txt
check "words have a task of their own" "$unroll" train word-lm --data text.txt.gz --test text.txt --hidden 12 --embed 12 --batch 8 --epochs 2 --optimizer sgd --schedule steps --rate 5 --hold 1 --json --log curves --out w.safetensors
cp check.log words.log
check "which reports the test" grep -q '"task":"word-lm","split":"test",.*"perplexity":' words.log
check "and its curves are in a table" grep -q '^[0-9]*,valid/nats_per_token,[0-9.]*$' curves/metrics.csv
check "before the validation" bash -c 'tail -n 1 words.log | grep -q "\"split\":\"valid\""'
check "a file of words is evaluated" bash -c "'$unroll' eval w.safetensors --data text.txt | grep -q '^task word-lm  split eval .*perplexity'"
check "words go on" bash -c "'$unroll' run w.safetensors 'the apple' | grep -q '^the apple'"
"$unroll" eval w.safetensors --data text.txt >known.log
check "all words are known" grep -q "unknown 0$" known.log
printf 'zebra yak the\n%.0s' 1 2 3 4 5 >strange.txt
"$unroll" eval w.safetensors --data strange.txt --json >strange.log
check "or a share is not" grep -q '"unknown":0.5}' strange.log
check "a file is scored" "$unroll" score lstm.safetensors --data text.txt

# Checkpoints

for steps in 1 3 17 34 35 40; do
  check "training stops after $steps steps" exits 0 '' "$unroll" train char-lm "${tiny[@]}" --max-steps "$steps" --out part.safetensors
  check "and goes on" "$unroll" train char-lm --resume part.safetensors
  check "to the same bits, after $steps steps" same lstm.safetensors part.safetensors
done
"$unroll" train char-lm "${tiny[@]}" --epochs 40 --out whole.safetensors >/dev/null 2>&1
"$unroll" train char-lm "${tiny[@]}" --epochs 40 --out cut.safetensors >cut.log 2>&1 &
pid=$!
sleep 0.4
kill -INT "$pid"
wait "$pid"
status=$?
check "an interrupt ends with 130 or comes too late" test "$status" = 130 -o "$status" = 0
"$unroll" train char-lm "${tiny[@]}" --epochs 1000000 --out closed.safetensors >closed.log 2>&1 &
pid=$!
for ((i = 0; i < 200; ++i)); do grep -qs best closed.log && break; sleep 0.1; done
kill -HUP "$pid"
wait "$pid"
check "a terminal that is closed interrupts" test $? = 130
check "and the model is kept" test -s closed.safetensors
check "patience ends a training" "$unroll" train char-lm "${tiny[@]}" --epochs 60 --rate 0.05 --schedule steps --hold 60 --patience 2 --out patient.safetensors
cp check.log patient.log
check "before its epochs are over" not grep -q "epoch 60 of" patient.log
cp patient.safetensors ended.safetensors
"$unroll" train char-lm "${tiny[@]}" --epochs 1000 --minutes 0.00001 --out timed.safetensors >timed.log 2>&1
check "minutes end a training" test $? = 0
check "after the epoch that was begun" test "$(grep -c "held out [0-9.]* nats" timed.log)" = 1
check "what ended is not gone on with" "$unroll" train char-lm --resume ended.safetensors
check "and stays as it is" same patient.safetensors ended.safetensors
wording=(--data text.txt --hidden 12 --embed 12 --batch 8 --steps 10 --epochs 3 --tied --locked --dropout-input 0.3 --dropout-recurrent 0.2 --rate 5 --hold 1 --seed 3)
"$unroll" train word-lm "${wording[@]}" --out wordy.safetensors >/dev/null 2>&1
check "a word model's training stops" exits 0 '' "$unroll" train word-lm "${wording[@]}" --max-steps 31 --out part.safetensors
check "and goes on" "$unroll" train word-lm --resume part.safetensors
check "to the same bits, with all its dropouts" same wordy.safetensors part.safetensors
check "an interrupted training goes on" bash -c "test $status = 0 || '$unroll' train char-lm --resume cut.safetensors"
check "to the same bits, after an interrupt" same whole.safetensors cut.safetensors
check "other data cannot be resumed with" bash -c 'tac text.txt >reversed.txt'
"$unroll" train char-lm "${tiny[@]}" --max-steps 5 --out part.safetensors >/dev/null 2>&1
check "and it says so" exits 2 "was not trained on" "$unroll" train char-lm --resume part.safetensors --data reversed.txt
# Where training stood is JSON in the header, whose length must stay.
for damage in 'epoch\\":0/epoch\\":7/is not window' 'optimizer_steps/optimizer_stops/stood' 'total/totol/stood' \
              'ended/endad/stood' 'step\\":5/step\\":4/is not window' 'fingerprint/fingerprant/stood'; do
  IFS=/ read -r was is says <<<"$damage"
  sed "s/$was/$is/" part.safetensors >damaged.safetensors
  check "a model file in which $was is $is" exits 2 "$says" "$unroll" train char-lm --resume damaged.safetensors
done
head -c -64 part.safetensors >damaged.safetensors && printf '\377%.0s' {1..64} >>damaged.safetensors
check "what is not finite is damaged" exits 2 "damaged.safetensors is damaged: train/.* holds -*nan" "$unroll" train char-lm --resume damaged.safetensors
steps=$("$unroll" train char-lm "${tiny[@]}" --max-steps 1 --out last.safetensors 2>&1 | sed -n 's/^stopped at step 1 of \([0-9]*\);.*/\1/p')
"$unroll" train char-lm "${tiny[@]}" --max-steps "$steps" --out last.safetensors >/dev/null 2>&1
check "what stopped before its last validation goes on with that" bash -c "'$unroll' train char-lm --resume last.safetensors >last.log && grep -q 'epoch 2 of 2: held out' last.log && ! grep -q 'has ended' last.log"
check "and has then ended" bash -c "'$unroll' train char-lm --resume last.safetensors | grep -q 'this training has ended'"
for option in "--hidden 24" "--cell gru" "--seed 7" "--epochs 3" "--tied" "--rate 1"; do
  check "settings stay, such as $option" exits 2 "part.safetensors goes on .*${option%% *} is .* and cannot change" \
    "$unroll" train char-lm --resume part.safetensors $option
done
check "a model of characters is none of words" exits 2 "of the task char-lm" "$unroll" train word-lm --resume part.safetensors
check "what is given again as it was changes nothing" exits 0 '' "$unroll" train char-lm "${tiny[@]}" --resume part.safetensors
check "as if it was not given" same lstm.safetensors part.safetensors

# Tasks that need no data, and a look inside

small=(--hidden 16 --batch 16 --seed 3)
check "parity is learned" "$unroll" train parity --steps 8 "${small[@]}" --updates 2000 --json --out parity.safetensors
tail -n 1 check.log >metrics.log
check "and its metrics say so" grep -q '"task":"parity","cell":"lstm","steps":8,.*"baseline":0.693.*"share_right":.*"solved":"yes"' metrics.log
for task in adding copy reber embedded-reber sine; do
  check "$task runs" "$unroll" train "$task" "${small[@]}" --steps 12 --cell gru --updates 3 --out "$task.safetensors"
done
"$unroll" train copy "${small[@]}" --steps 4 --updates 30 --out copy.safetensors >/dev/null 2>&1
grow=(--start 2 --steps 9 --updates 90 --hidden 8 --batch 8 --rate 0.02 --seed 3)
check "a task grows" "$unroll" train adding "${grow[@]}" --updates 2000 --out grown.safetensors
cp check.log grown.log
check "step by step" grep -q "update [0-9]*: 3 steps from now on" grown.log
"$unroll" train adding "${grow[@]}" --out adding.safetensors >/dev/null 2>&1
check "a growing task stops" exits 0 '' "$unroll" train adding "${grow[@]}" --max-steps 70 --out part.safetensors
check "and goes on" "$unroll" train adding --resume part.safetensors
check "to the same bits" same adding.safetensors part.safetensors
check "a task's training stops" exits 0 '' "$unroll" train copy "${small[@]}" --steps 4 --updates 30 --max-steps 11 --out part.safetensors
check "settings of a task stay" exits 2 "hidden is 16 and cannot" "$unroll" train copy --resume part.safetensors --hidden 8
check "and goes on" "$unroll" train copy --resume part.safetensors
check "to the same bits" same copy.safetensors part.safetensors

check "its curves are kept" "$unroll" train parity --steps 4 "${small[@]}" --updates 200 --log curves --threads 1 --out one.safetensors
check "as a table" grep -q '^200,valid/share_right,' curves/metrics.csv
check "threads change no bit" "$unroll" train parity --steps 4 "${small[@]}" --updates 200 --threads 3 --out three.safetensors
check "of a task's model" same one.safetensors three.safetensors
check "a wrapper is its option" "$unroll" train adding "${grow[@]}" --wrapper zoneout --out zone.safetensors
check "it stops" exits 0 '' "$unroll" train adding "${grow[@]}" --wrapper zoneout --max-steps 33 --out part.safetensors
check "and goes on" "$unroll" train adding --resume part.safetensors
check "to the same bits, with its noise" same zone.safetensors part.safetensors
{ cat text.txt; printf 'a \377\n'; } >rough.txt
cp parity.safetensors solved.safetensors
check "what is solved is not gone on with" "$unroll" train parity --resume solved.safetensors
check "and stays as it is" same parity.safetensors solved.safetensors
check "a model that has diverged is an error" exits 1 "loss is .*nan after update 1: is --rate 1000000 too large" "$unroll" train copy --cell rnn-relu --rate 1e6 --updates 1 --layers 3 --steps 300 --start 0 --hidden 16 --out x.safetensors
"$unroll" train char-lm "${tiny[@]}" --data rough.txt --skip-bad --max-steps 5 --out rough.safetensors >/dev/null 2>&1
check "what left out lines goes on so" "$unroll" train char-lm --resume rough.safetensors
check "sequences are written" "$unroll" synthesize parity --steps 8 --count 50 --out bits.txt
check "a line each" test "$(grep -c '^[01]\{8\}$' bits.txt)" = 50
"$unroll" eval parity.safetensors --data bits.txt --json >bits.log
check "and read" grep -q '"examples":50,.*"share_right":' bits.log
check "a line is answered" bash -c "test \"\$('$unroll' run parity.safetensors 01101001)\" = 01001110"

check "a task's model is inspected" bash -c "'$unroll' inspect parity.safetensors --csv parity.csv >inspect.log"
check "gates are listed" grep -q '^  forget ' inspect.log
check "errors reach back" grep -q 'rnn/layers/0/cell: 8 steps, effective memory' inspect.log
check "each number is in the CSV" test "$(grep -c 'cell,\(error\|jacobian\),' parity.csv)" = 16
check "the shares of a gate make one" awk -F, '/gate input/ { total += $4 } END { exit !(total > 0.999 && total < 1.001) }' parity.csv
check "a language model is inspected" "$unroll" inspect lstm.safetensors --data text.txt --steps 20 --csv lm.csv
check "in each layer" grep -q '^rnn/layers/1/cell,error,19,' lm.csv
if command -v gnuplot >/dev/null; then
  check "a picture is drawn" "$unroll" inspect lstm.safetensors --data text.txt --steps 20 --svg lm.svg
  check "as SVG" grep -q '</svg>' lm.svg
  check "vanishing is shown" bash -c "'$unroll' demo vanishing --seconds 1 --steps 10 20 --hidden 8 --out v.svg --json >v.log"
  check "for each cell and length" test "$(grep -c '"cell":"\(rnn\|gru\|lstm\)","steps":[12]0' v.log)" = 6
  check "as SVG" grep -q '</svg>' v.svg
  check "no picture where there is no folder" exits 2 "missing" "$unroll" plot curves --out missing/a.svg
  check "nor on standard output" test ! -s out.log
  check "curves are drawn" "$unroll" plot curves
  check "as SVG" grep -q '</svg>' curves/curves.svg
  mkdir -p folds && cp -r curves folds/fold-1
  check "of folds, one by one" "$unroll" plot folds/fold-1
  wrong "plot: folds holds the curves of folds, .* such as folds/fold-1" plot folds
  mkdir quoted && printf '%s\n' step,name,value '1,`touch ran`,5' "2,it's,4" >quoted/metrics.csv
  check "whatever they are called" "$unroll" plot quoted
  check "and no name is a command" not test -e ran
else
  check "a picture needs gnuplot" exits 2 "gnuplot-nox" "$unroll" inspect parity.safetensors --svg p.svg
fi

# Errors

cp lstm.safetensors before.safetensors
: >empty.txt
printf 'a\0b' >binary.txt
printf 'abc' >short.txt
head -c 100 lstm.safetensors >cut-off.safetensors
head -c -1 lstm.safetensors >shorter.safetensors
wrong "missing.txt" train char-lm --data missing.txt --out lstm.safetensors
wrong "empty.txt" train char-lm --data empty.txt --out lstm.safetensors
wrong "binary" train char-lm --data binary.txt --out lstm.safetensors
wrong "." train char-lm --data short.txt --out lstm.safetensors
wrong "--data" train char-lm --out lstm.safetensors
wrong "cell" train char-lm --data text.txt --cell lsmt
wrong "hidden" train char-lm --data text.txt --hidden 0 --out lstm.safetensors
wrong "hidden" train char-lm --data text.txt --hidden 1000000000000 --out lstm.safetensors
wrong "batch" train char-lm --data text.txt --batch -3 --out lstm.safetensors
wrong "rate" train char-lm --data text.txt --rate nan --out lstm.safetensors
wrong "rate" train char-lm --data text.txt --rate fast --out lstm.safetensors
wrong "dropout" train char-lm --data text.txt --dropout 1 --out lstm.safetensors
wrong "dropout-input" train word-lm --data text.txt --dropout-input 1
wrong "optimizer" train word-lm --data text.txt --optimizer newton
wrong "patience" train word-lm --data text.txt --patience -1
wrong "minutes" train char-lm --data text.txt --minutes -1
wrong "schedule" train char-lm --data text.txt --schedule never
wrong "tied" train word-lm --data text.txt --tied --embed 7
wrong "missing.txt" eval lstm.safetensors --data missing.txt
wrong "binary" eval lstm.safetensors --data binary.txt
wrong "missing/m" train char-lm "${tiny[@]}" --out missing/m.safetensors
check "and that before it trains" not grep -q "step " out.log
"$unroll" synthesize ner --out names.conll --count 30 >made.log 2>&1
"$unroll" synthesize ner --out many.conll --count 3000 >made.log 2>&1
cp text.txt text.before && cp names.conll names.before
gzip -c text.txt | head -c -4 >cut-off.gz
printf 'the apple\nand \377 pear\n' >latin.txt
for command in "train char-lm" "train word-lm" "eval lstm.safetensors" "eval w.safetensors" "score lstm.safetensors"; do
  wrong "unroll: latin.txt:2: .*invalid UTF-8" $command --data latin.txt
done
wrong "rough.txt:[0-9]*: invalid UTF-8 at byte" eval lstm.safetensors --data rough.txt
check "and are counted" exits 0 "1 malformed line was left out, the first: rough.txt" "$unroll" eval lstm.safetensors --data rough.txt --skip-bad
check "a model of several texts" "$unroll" train char-lm "${tiny[@]}" --data text.txt text.txt --epochs 1 --out twice.safetensors
"$unroll" synthesize pixels --out strokes --count 30 >made.log 2>&1
wrong "skip-bad has no use: images" train pixels --data strokes --skip-bad
wrong "is read" train char-lm --data text.txt --out text.txt
wrong "is read" train ner --data names.conll --out ./names.conll
check "what is read is not written over" same text.before text.txt
check "nor is that" same names.before names.conll
"$unroll" synthesize vowels --out utterances --count 40 >made.log 2>&1
wrong "size_utterances would be written over, and is read" train vowels --data utterances --out size_utterances
wrong "strokes.labels would be written over, and is read" train pixels --data strokes --out strokes.labels
wrong "is read" inspect parity.safetensors --csv ./parity.safetensors
check "two outputs are two files" exits 2 "are the same file, same" "$unroll" inspect parity.safetensors --csv same --svg ./same
echo packed >size_new.gz
check "what is packed beside is not written over" bash -c "'$unroll' synthesize vowels --out new --count 3 && grep -qx packed size_new.gz && test -s size_new"
wrong "is no regular file" train ner --data names.conll --out /dev/null
cp text.txt metrics.csv
wrong "no table of curves" train ner --data names.conll --log .
ln -s around around
for command in "eval lstm.safetensors --data" "train vowels --data" "train speech --data" "train ner --data names.conll --out" "plot"; do
  wrong "Too many levels" $command around
done
"$unroll" train vowels --data utterances --epochs 1 --hidden 4 --out vowels.safetensors >made.log 2>&1
check "what cannot be looked up does not keep the next from an answer" exits 2 "standard input:1: .*Too many" \
  bash -c "printf 'around\nutterances\n' | '$unroll' run vowels.safetensors"
check "which is there" test "$(wc -l <out.log)" = 40
check "nor does an argument" exits 2 "input 1: " "$unroll" run vowels.safetensors missing utterances
check "which is there, too" test "$(wc -l <out.log)" = 40
gzip -k utterances size_utterances && mv size_utterances.gz size_packed.gz && mv utterances.gz packed.gz
check "what lies beside a packed file may be packed" "$unroll" eval vowels.safetensors --data packed.gz
head -c -64 vowels.safetensors >nan.safetensors && printf '\377%.0s' {1..64} >>nan.safetensors
wrong "nan.safetensors is damaged: .* holds -*nan" eval nan.safetensors --data utterances
for wrong in "010x" "1.5" "" "1e3"; do
  check "--epochs '$wrong'" exits 2 "train: --epochs '$wrong' is no whole number" "$unroll" train ner --data names.conll --epochs "$wrong"
done
wrong "train: --seed '9223372036854775808' is no whole number of at most 63 bits" train adding --seed 9223372036854775808
wrong "train: --rate '1e-400' is no number that a double can be" train adding --rate 1e-400
wrong "sample: --seed '-1' is no whole number from 0" sample lstm.safetensors --seed -1
check "a number may have a sign" bash -c "'$unroll' train ner --data names.conll --epochs +1 --seed -1 --held-out +0.2 --hidden 4 | grep -q '^epoch 1 of 1:'"
wrong "held-out has no use with --valid" train ner --data names.conll --valid names.conll --held-out 0.2
wrong "train: --held-out 'nan' is no number" train ner --data names.conll --held-out nan
wrong "train: --held-out 0.6 is not in 0.001 .. 0.5" train ner --data names.conll --held-out 0.6
wrong "demo: --seconds 0 is not in 1" demo --seconds 0
check "numbers are decimal" bash -c "'$unroll' train ner --data names.conll --epochs 010 --minutes 1e-9 | grep -q '^epoch 1 of 10:'"
{ echo Title,Review Text,Rating; printf 'a,b%s,5\nc,d,1\n' {1..30}; echo 't,"open,5'; printf 'e,f%s,2\n' {1..40}; } >open.csv
check "of a quote that is not closed one line is left out" exits 0 "^1 malformed line was left out, the first: open.csv:62: a quote is not closed" \
  "$unroll" train sentiment --data open.csv --skip-bad --epochs 1 --hidden 4 --embed 4
check "and no other" grep -q "^sentiment: 90 examples to train on, 10 to" out.log
"$unroll" synthesize video --out clips --count 30 >made.log 2>&1
sed 's/,wave,/,swim,/' clips >unknown
wrong "unknown:[0-9]*: symbols: 'swim' is not among the 3 known: stand, walk, wave" train video --data clips --test unknown
check "and that before it trains" not grep -q "epoch 1" out.log
"$unroll" train video --data clips --epochs 1 --hidden 4 --out video.safetensors >made.log 2>&1
check "examples of unknown labels are left out, and counted" exits 0 "unknown examples* w.* left out, the first: unknown:.*swim" \
  "$unroll" eval video.safetensors --data unknown --skip-bad
sed 's/$/\r/' text.txt >windows.txt
check "to be inspected, too" "$unroll" inspect lstm.safetensors --data windows.txt --steps 5
check "and scored" bash -c "'$unroll' score lstm.safetensors --data windows.txt | head -c 300 | cmp - <('$unroll' score lstm.safetensors --data text.txt | head -c 300)"
check "lines may end as those of Windows" bash -c "'$unroll' eval lstm.safetensors --data windows.txt >windows.log && '$unroll' eval lstm.safetensors --data text.txt | cmp - windows.log"
check "curves that go on within a second" bash -c "'$unroll' train char-lm ${tiny[*]} --max-steps 2 --log goes --out goes.safetensors && '$unroll' train char-lm --resume goes.safetensors --log goes --max-steps 2"
check "have a file of events each" test "$(find goes -name 'events*' | wc -l)" = 2
for task in char-lm ner adding; do
  data=(--data names.conll)
  [[ $task != adding ]] || data=()
  wrong "train: --hidden 0 is not in 1 .. 65536" train $task "${data[@]}" --hidden 0
  wrong "train: --layers 1000000 is not in 1 .. 64" train $task "${data[@]}" --layers 1000000
  wrong "train: --batch 0 is not in 1 .. 65536" train $task "${data[@]}" --batch 0
done
wrong "names.conll:2: " train video --data names.conll
wrong "missing.txt" train char-lm "${tiny[@]}" --valid missing.txt --out late.safetensors
wrong "empty.txt" train char-lm "${tiny[@]}" --test empty.txt --out late.safetensors
printf 'e' >letter.txt
wrong "letter.txt" train char-lm "${tiny[@]}" --valid letter.txt --out late.safetensors
wrong "letter.txt" train char-lm "${tiny[@]}" --test letter.txt --out late.safetensors
check "and that before it trains" not test -e late.safetensors
printf 'Title,Review Text,Rating\na,b,5\n,,1\nc,d,1\n' >reviews.csv
check "rows without text are counted" exits 0 '^rows without text left out: 1$' "$unroll" train sentiment \
  --data reviews.csv --valid reviews.csv --epochs 1 --hidden 4
check "on standard error" not grep -q "without text" out.log
mkdir said && printf 'RIFF' >said/1_ann_0.wav && tar cf said.tar said
wrong "said.tar/said/1_ann_0.wav: it is no sound" train speech --data said.tar
"$unroll" synthesize music --out pieces.txt --count 20 >made.log 2>&1
"$unroll" train music --data pieces.txt --epochs 1 --hidden 4 --out music.safetensors >made.log 2>&1
wrong "one answer, and there are 2 inputs" run music.safetensors 1 2 --out piece.mid
check "and one answer to lines of standard input, too" exits 2 "there are 2 inputs" bash -c "printf '1\n2\n' | '$unroll' run music.safetensors --out piece.mid"
check "an answer that is no file" exits 2 "what a model of char-lm says is no file" "$unroll" run lstm.safetensors the --out x
check "lines are answered, but one" exits 2 "standard input:3: music: 'sed=3' is" bash -c "printf 'seed=1 steps=2\n\nsed=3\r\nseed=2 steps=2\n' | '$unroll' run music.safetensors"
check "an empty one by an empty one" bash -c 'test "$(wc -l <out.log)" = 3 && test -z "$(sed -n 2p out.log)"'
check "each as soon as it comes" bash -c "coproc R { '$unroll' run music.safetensors; }; echo 1 >&\${R[1]}; read -rt 20 line <&\${R[0]} && [[ -n \$line ]]"
wrong "music: '-x' is neither" run music.safetensors -- -x
for command in "sample" "score --text a" "inspect --data text.txt"; do
  wrong "music.safetensors is of the task music, and no language model; unroll eval and run take it" $command music.safetensors
done
wrong "text.txt:1: .* is none of 01" eval parity.safetensors --data text.txt
wrong "'x' is none of 01" run parity.safetensors 01x
wrong "music.safetensors is of no synthetic task" train parity --resume music.safetensors
wrong "of the task parity, and no language model; unroll eval and run take it" score --text a parity.safetensors
printf '(%s (2 a) (%s film))\n%.0s' 3 3 1 1 3 4 0 1 >trees.txt
"$unroll" train sentiment --data trees.txt --valid trees.txt --model tree --epochs 1 --hidden 4 --out tree.safetensors >made.log 2>&1
check "a pipe is read once" bash -c "'$unroll' train sentiment --data <(cat trees.txt) --valid <(gzip -c trees.txt) --epochs 1 --hidden 4 --embed 4"
printf 'one house\tein Haus\n%.0s' {1..20} >pairs.txt
check "also one of pairs" bash -c "'$unroll' train translate --data <(cat pairs.txt) --valid <(cut -f1 pairs.txt) <(cut -f2 pairs.txt) --epochs 1 --hidden 4"
check "a tree is answered" "$unroll" run tree.safetensors "(3 (2 a) (3 film))"
wrong "this model reads trees, such as (3 (2 a)" run tree.safetensors "a lovely film"
check "an empty request is one" "$unroll" run music.safetensors "" --out empty.mid
check "and has its piece" test -s empty.mid
check "a piece is written" "$unroll" run music.safetensors 1 --out piece.mid
wrong "music.safetensors would be written over, and is read" run music.safetensors 1 --out music.safetensors
for n in A AC ACG ACGT CA CAG CAGT GA GAT GATA; do printf '\377E,a,%s\n\376E,b,T%s\n' $n $n; done >labels.csv
wrong "UTF-8" train dna --data labels.csv
wrong "cut-off.gz" train char-lm --data cut-off.gz
wrong "cannot be written" synthesize ner --out /dev/full --count 1
check "standard output that is full" exits 1 "standard output" bash -c "'$unroll' sample lstm.safetensors --length 5 >/dev/full"
check "or closed" bash -c "'$unroll' train ner --data names.conll --epochs 1 --log closed >&-"
check "is no other file" not grep -q epoch closed/metrics.csv
bash -c "'$unroll' train ner --data names.conll --epochs 2 --out piped.safetensors 2>&1 | head -n 1" >piped.log
check "a model is kept when nobody reads" test -s piped.safetensors
check "an application's answer that is no file" exits 2 "what a model of ner says is no file" "$unroll" run piped.safetensors Ada --out x
interrupted first.log "$unroll" train ner --data many.conll --batch 1 --rate 1e-12 --out first.safetensors
check "an interrupt in the first epoch" test $? = 130
check "saves before anything is validated" bash -c "grep -q '^saved first' first.log && ! grep -q trained first.log && test -s first.safetensors"
check "and says that it is scored" grep -q "scored now, and Ctrl-C again ends at once" first.log
interrupted fold.log "$unroll" train ner --data many.conll --batch 1 --folds 3
check "an interrupt of folds" test $? = 130
check "keeps nothing, and says so" bash -c 'grep -q "interrupted in fold 1 of 3, which has no score" fold.log && ! grep -q "kept\|split" fold.log'
check "folds are scored" "$unroll" train ner --data names.conll --epochs 1 --hidden 4 --folds 2 --log folded
check "with curves of their own" test -s folded/fold-1/metrics.csv -a -s folded/fold-2/metrics.csv -a ! -e folded/metrics.csv
wrong "--folds 1 leaves nothing to train on" train ner --data names.conll --folds 1
for option in "--out x.safetensors" "--valid names.conll" "--test names.conll" "--held-out 0.2"; do
  wrong "${option%% *} has no use with --folds" train ner --data names.conll --folds 2 $option
done
wrong "letter.txt: files without a tab .* these are 3" train translate --data text.txt text.txt letter.txt
"$unroll" synthesize speech --out whistles --count 24 >made.log 2>&1
tar cf whistles.tar $(ls -r whistles/*)
for data in whistles whistles.tar; do
  "$unroll" train speech --data $data --held-out 0.5 --epochs 1 --hidden 4 --out $data.safetensors >made.log 2>&1
done
check "recordings are the same in a folder and in an archive" same whistles.safetensors whistles.tar.safetensors
gzip -c whistles/3_ann_0.wav >3_ann_0.wav.gz
check "one may be compressed" "$unroll" eval whistles.safetensors --data 3_ann_0.wav.gz
check "files have no default" bash -c "! '$unroll' train ner --help | grep -F '=[]'"
wrong "missing.safetensors" sample missing.safetensors
wrong "cut-off" sample cut-off.safetensors
wrong "shorter" score shorter.safetensors --text the
wrong "text.txt: is no safetensors file$" sample text.txt
wrong "/dev/null" sample /dev/null
wrong "vocabulary" score lstm.safetensors --text "ÄÖÜ"
wrong "vocabulary" sample lstm.safetensors --prompt "ÄÖÜ"
wrong "temperature" sample lstm.safetensors --temperature -1
wrong "top-p" sample lstm.safetensors --top-p 0
wrong "--text" score lstm.safetensors
wrong "." score lstm.safetensors --text the --data text.txt
wrong "needed" inspect lstm.safetensors
wrong "draws its own" inspect parity.safetensors --data text.txt
wrong "missing" inspect parity.safetensors --csv missing/x.csv
wrong "seeds" inspect parity.safetensors --seeds 0
wrong "parity" sample parity.safetensors
wrong "task" train parity --resume copy.safetensors
wrong "steps" train adding --steps 1 --out x.safetensors
wrong "cell" train adding --cell gur --out x.safetensors
wrong "wrapper" train adding --wrapper foil --out x.safetensors
wrong "folder\|missing" train adding --out missing/x.safetensors
wrong "unroll train: there is no 'subtracting'; there is char-lm, word-lm, " train subtracting
wrong "unroll train: there is no 'dnaa' (is dna meant?); there is char-lm, " train dnaa
wrong "unroll: there is no 'sampel' (is sample meant?); there is train, " sampel lstm.safetensors
wrong "unroll train char-lm: there is no option --dta (is --data meant?)" train char-lm --dta text.txt
wrong "there is no option --epoch (is --epochs meant?)" train char-lm --data text.txt --epoch 1
wrong "there is no option --nonsense$" eval --nonsense=1
wrong "unroll train: one of these is needed: char-lm, " train
wrong "unroll plot: 'b' is one word too many" plot a b
wrong "." ""
vowels=measured/speech/japanese_vowels
mkdir -p $vowels
"$unroll" synthesize vowels --out $vowels/ae.train --count 36 >made.log 2>&1
cp $vowels/ae.train $vowels/ae.test && cp $vowels/size_ae.train $vowels/size_ae.test
reproduce() { python3 "$source_dir/models/reproduce.py" --program "$unroll" "$@"; }
check "what was measured is trained again" exits 0 "speech-vowels, test, accuracy: .* (.* \.\. .*)" \
  reproduce --data measured --seeds 2 speech-vowels
check "by the seeds that are said" bash -c "grep -c '^== .*, seed [12]:' err.log | grep -qx 2"
printf '#!/bin/sh\necho "{\\"loss\\": 0.5}"\n' >says_half && chmod +x says_half
check "without a name, all is" exits 0 "adding-lstm, held out, loss: 0.5" reproduce --program ./says_half --data measured
check "whose data are there" grep -q "^pixels is left out: measured has no long_range/train-images" err.log
check "where its data are missing, it says so" exits 2 "train-images" reproduce --data measured pixels
check "and leaves it out" exits 0 "^pixels is left out: measured has no" reproduce --program ./says_half --data measured pixels adding-gru
mkdir measured/dna && : >measured/dna/splice_train.data
printf '#!/bin/sh\necho "$@" >asked.log\necho "{\\"loss\\": 0.5}"\n' >says_what && chmod +x says_what
check "folds are trained" exits 0 '' reproduce --program ./says_what --data measured dna-splice
check "without a model" not grep -q -- --out asked.log
check "and where the folder is" exits 2 "no folder" reproduce --data nowhere pixels
check "and when there is no such name" exits 2 "nothing named" reproduce --data measured vowel
check "and its commands are those of models/README.md" python3 -B - "$source_dir/models" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import reproduce
text = open(sys.argv[1] + "/README.md", encoding="utf-8").read()
sys.exit(any(f"\n{name}: {command}\n" not in text for name, command in reproduce.TRAININGS.items()))
END
check "help is no error" exits 0 '' "$unroll" --help
check "nor is the version" exits 0 '' "$unroll" --version
check "what was there is untouched by all that" same lstm.safetensors before.safetensors
check "no temporary file is left" bash -c '! ls | grep -q tmp'

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
