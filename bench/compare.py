"""Training steps of unroll, PyTorch and JAX side by side: ./run bench compare

Every peer is a process of its own that waits while another one runs. All start from the weights that unroll writes, on the
same batch; the losses of the first steps must agree. Then rounds of A, B, C, A, B, C: the ratio of a round is that of
its medians, and what is reported is the median of the ratios over the rounds, with the smallest and the largest.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

SHAPES = {  # name: (cell, layers)
    "char-lstm": ("lstm", 2), "lstm-user": ("lstm", 2), "lstm-256": ("lstm", 1), "ptb-small": ("lstm", 2),
    "ptb-medium": ("lstm", 2), "char-gru": ("gru", 2), "gru-256": ("gru", 1), "char-rnn": ("rnn", 1),
    "mgu-128": ("mgu", 1), "mgu-32": ("mgu", 1), "peephole-128": ("peephole", 1), "tagger-ragged": ("lstm-both", 1),
}
RATE, CLIP = 0.1, 5.0
LOSSES = 4  # of first steps, which must agree


def load(path):
    from safetensors.numpy import load_file
    return load_file(path)


def peak_rss():
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def torch_step(cell, layers, data, compiled=False, sparse=False):
    import torch
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    F = torch.nn.functional
    t = lambda name: torch.from_numpy(data["model/" + name].copy())
    inputs = torch.from_numpy(data["inputs"]).long()
    targets = torch.from_numpy(data["targets"]).long().reshape(-1)
    lengths = torch.from_numpy(data["lengths"]).long()
    embed = torch.nn.Embedding.from_pretrained(t("embed/table"), freeze=False)
    classes = data["model/head/bias"].shape[0]
    head = torch.nn.Linear(data["model/head/weight"].shape[0], classes)
    with torch.no_grad():
        head.weight.copy_(t("head/weight").T), head.bias.copy_(t("head/bias"))
    parameters = [*embed.parameters(), *head.parameters()]
    second_biases = []  # of a GRU, whose reset and update gate have one bias in the others
    ragged = cell == "lstm-both"

    if cell in ("lstm", "gru", "rnn", "lstm-both"):
        module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN, "lstm-both": torch.nn.LSTM}[cell]
        width = data["model/head/weight"].shape[0] // (2 if ragged else 1)
        rnn = module(embed.weight.shape[1], width, layers, bidirectional=ragged)
        with torch.no_grad():
            for layer in range(layers):
                for suffix, part in (("", "forward/"), ("_reverse", "backward/")) if ragged else (("", ""),):
                    of = f"rnn/layers/{layer}/{part}cell/"
                    if cell == "gru":
                        recurrent = torch.cat([t(of + "gates/weight"), t(of + "candidate/weight")], 1)
                    else:
                        recurrent = t(of + ("recurrent/weight" if f"model/{of}recurrent/weight" in data else "recurrent"))
                    getattr(rnn, f"weight_ih_l{layer}{suffix}").copy_(t(of + "input/weight").T)
                    getattr(rnn, f"weight_hh_l{layer}{suffix}").copy_(recurrent.T)
                    getattr(rnn, f"bias_ih_l{layer}{suffix}").copy_(t(of + "input/bias"))
                    b = getattr(rnn, f"bias_hh_l{layer}{suffix}")
                    b.zero_()
                    if cell == "gru":
                        b[2 * width:].copy_(t(of + "candidate/bias"))
                        second_biases.append(b)
                    else:  # one bias is what the others have
                        b.requires_grad_(False)
        parameters += [p for p in rnn.parameters() if p.requires_grad]

        def hidden(xs):
            if not ragged:
                return rnn(xs)[0]
            packed = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, enforce_sorted=False)
            return torch.nn.utils.rnn.pad_packed_sequence(rnn(packed)[0], total_length=xs.shape[0])[0]
    else:
        names = [k for k in data if k.startswith("model/rnn/layers/0/cell/")]
        w = {k.removeprefix("model/rnn/layers/0/cell/").removesuffix("/weight") if "input/" not in k
             else k.removeprefix("model/rnn/layers/0/cell/"):
             torch.nn.Parameter(torch.from_numpy(data[k].copy())) for k in names}
        parameters += list(w.values())

        def hidden(xs):
            projected = xs @ w["input/weight"] + w["input/bias"]
            batch = xs.shape[1]
            h = xs.new_zeros(batch, data["model/head/weight"].shape[0])
            c, hs = h, []
            for x in projected.unbind(0):
                if cell == "mgu":
                    xf, xc = x.chunk(2, 1)
                    f = torch.sigmoid(torch.addmm(xf, h, w["gate"]))
                    h = h + f * (torch.tanh(torch.addmm(xc, f * h, w["candidate"])) - h)
                else:
                    i, f, g, o = torch.addmm(x, h, w["recurrent"]).chunk(4, 1)
                    c = torch.sigmoid(f + w["peep_f"] * c) * c + torch.sigmoid(i + w["peep_i"] * c) * torch.tanh(g)
                    h = torch.sigmoid(o + w["peep_o"] * c) * torch.tanh(c)
                hs.append(h)
            return torch.stack(hs)

    def loss_of():
        xs = F.embedding(inputs.clamp(min=0), embed.weight, sparse=sparse)
        return F.cross_entropy(head(hidden(xs)).reshape(-1, classes), targets, ignore_index=-1)

    loss_of = torch.compile(loss_of) if compiled else loss_of
    optimizer = torch.optim.SGD(parameters, lr=RATE, foreach=True)

    def clip():
        if not sparse:
            torch.nn.utils.clip_grad_norm_(parameters, CLIP, foreach=True)
            return
        embed.weight.grad = embed.weight.grad.coalesce()  # clip_grad_norm_ takes no sparse gradients
        grads = [p.grad.values() if p.grad.is_sparse else p.grad for p in parameters]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        torch._foreach_mul_(grads, torch.clamp(CLIP / (norm + 1e-6), max=1.0))

    steps_compared = [LOSSES]

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        if steps_compared[0] > 0:  # what follows is PyTorch's own GRU, without the time that this takes
            steps_compared[0] -= 1
            for b in second_biases:
                b.grad[:2 * width].zero_()
        clip()
        optimizer.step()
        return loss.item()

    return step


def jax_step(cell, layers, data, unroll_steps):
    # One thread: the pinned process has one core; Eigen's pool is kept to it as well.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp
    inputs = jnp.asarray(data["inputs"].astype("int32"))
    targets = jnp.asarray(data["targets"].astype("int32"))
    lengths = jnp.asarray(data["lengths"].astype("int32"))
    time_steps, batch = inputs.shape
    weights = {k.removeprefix("model/"): jnp.asarray(v) for k, v in data.items() if k.startswith("model/")}
    ragged = cell == "lstm-both"
    width = weights["head/weight"].shape[0] // (2 if ragged else 1)
    matrix = lambda w, name: w[name + "/weight"] if name + "/weight" in w else w[name]

    def advance(w, of, x, state):
        if cell == "rnn":
            h = jnp.tanh(x + state @ matrix(w, of + "recurrent"))
            return h, h
        if cell == "gru":
            of_gates, of_candidate = jnp.split(x, [2 * width], 1)
            gates, candidate = jnp.split(state @ w[of + "recurrent"], [2 * width], 1)
            r, z = jnp.split(jax.nn.sigmoid(of_gates + gates), 2, 1)
            n = jnp.tanh(of_candidate + r * (candidate + w[of + "candidate/bias"]))
            h = (1 - z) * n + z * state
            return h, h
        if cell == "mgu":
            xf, xc = jnp.split(x, 2, 1)
            f = jax.nn.sigmoid(xf + state @ matrix(w, of + "gate"))
            h = state + f * (jnp.tanh(xc + (f * state) @ matrix(w, of + "candidate")) - state)
            return h, h
        h, c = state
        i, f, g, o = jnp.split(x + h @ matrix(w, of + "recurrent"), 4, 1)
        if cell == "peephole":
            c = (jax.nn.sigmoid(f + w[of + "peep_f"] * c) * c
                 + jax.nn.sigmoid(i + w[of + "peep_i"] * c) * jnp.tanh(g))
            h = jax.nn.sigmoid(o + w[of + "peep_o"] * c) * jnp.tanh(c)
        else:
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def run(w, of, xs, reverse=False):
        zero = jnp.zeros((batch, width))
        state = zero if cell in ("rnn", "gru", "mgu") else (zero, zero)
        xs = xs @ w[of + "input/weight"] + w[of + "input/bias"]
        if cell == "gru":  # all products of a step at once
            both = [w[of + "gates/weight"], w[of + "candidate/weight"]]
            w = {**w, of + "recurrent": jnp.concatenate(both, 1)}
        if not ragged:
            return jax.lax.scan(lambda s, x: advance(w, of, x, s), state, xs, unroll=unroll_steps)[1]
        mask = (jnp.arange(time_steps)[:, None] < lengths[None, :])[..., None]

        def masked(s, x):
            x, m = x
            new, h = advance(w, of, x, s)
            return jax.tree.map(lambda a, b: jnp.where(m, a, b), new, s), jnp.where(m, h, 0)

        return jax.lax.scan(masked, state, (xs, mask), reverse=reverse, unroll=unroll_steps)[1]

    def loss_of(w):
        xs = w["embed/table"][jnp.maximum(inputs, 0)]
        for layer in range(layers):
            of = f"rnn/layers/{layer}/"
            if ragged:
                xs = jnp.concatenate([run(w, of + "forward/cell/", xs), run(w, of + "backward/cell/", xs, True)], -1)
            else:
                xs = run(w, of + "cell/", xs)
        log_p = jax.nn.log_softmax(xs @ w["head/weight"] + w["head/bias"])
        picked = jnp.take_along_axis(log_p, jnp.maximum(targets, 0)[..., None], -1)[..., 0]
        valid = targets >= 0
        return -jnp.sum(jnp.where(valid, picked, 0)) / jnp.sum(valid)

    def update(w):
        loss, grads = jax.value_and_grad(loss_of)(w)
        norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grads)))
        scale = RATE * jnp.minimum(1, CLIP / norm)
        return jax.tree.map(lambda p, g: p - scale * g, w, grads), loss

    update = jax.jit(update, donate_argnums=0)
    held = [weights]

    def step():
        held[0], loss = update(held[0])
        return float(loss)

    return step


def serve(kind, name, path):
    data = load(path)
    cell, layers = SHAPES[name]
    if kind.startswith("jax"):
        step = jax_step(cell, layers, data, int(kind.partition(":")[2] or 1))
    else:
        step = torch_step(cell, layers, data, compiled=kind == "torch.compile", sparse=kind == "torch-sparse")
    serve_steps(step)


def serve_steps(step):
    """Takes orders from standard input: "losses N", "time N" (milliseconds each), "rss"."""
    print("ready", flush=True)
    for line in sys.stdin:
        what, *count = line.split()
        if what == "rss":
            print(peak_rss(), flush=True)
            continue
        out = []
        for _ in range(int(count[0])):
            begun = time.perf_counter()
            loss = step()
            out.append(loss if what == "losses" else 1e3 * (time.perf_counter() - begun))
        print(*out, flush=True)


class Peer:
    def __init__(self, kind, command):
        self.kind = kind
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while (line := self.process.stdout.readline()) not in ("ready\n", ""):
            pass
        if not line:
            raise RuntimeError(f"{kind} did not start")
        self.rounds = []

    def ask(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.kind} stopped")
        return [float(x) for x in line.split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(name, program, kinds, rounds, seconds, core, scratch):
    saved = os.path.join(scratch, name + ".safetensors")
    pin = ["taskset", "-c", str(core)]
    peers = [Peer("unroll", pin + [program, "serve", "--shape", name, "--save", saved])]
    failures = {}
    compile_seconds = None
    reference = peers[0].ask(f"losses {LOSSES}")
    for kind in kinds:
        try:
            command = ([program, "serve", "--shape", name, "--each-row", "--save", saved] if kind == "each-row" else
                       [sys.executable, __file__, "--serve", kind, "--shape", name, "--file", saved])
            peer = Peer(kind, pin + command)
            begun = time.perf_counter()
            losses = peer.ask(f"losses {LOSSES}")
            if kind == "torch.compile":
                compile_seconds = time.perf_counter() - begun
            worst = max(abs(a - b) / abs(a) for a, b in zip(reference, losses))
            if worst > 1e-4:
                peer.close()
                raise RuntimeError(f"losses {losses} differ from {reference}")
            peers.append(peer)
        except RuntimeError as e:
            failures[kind] = str(e)
    for peer in peers:
        peer.ask("time 2")
    counts = {p.kind: max(3, int(1e3 * seconds / statistics.median(p.ask("time 3")))) for p in peers}
    for _ in range(rounds):
        for peer in peers:
            peer.rounds.append(statistics.median(peer.ask(f"time {counts[peer.kind]}")))
    row = {"bench": "compare", "name": name, "unroll_ms": statistics.median(peers[0].rounds),
           "unroll_rss_bytes": peers[0].ask("rss")[0]}
    for peer in peers[1:]:
        ratios = [b / a for a, b in zip(peers[0].rounds, peer.rounds)]
        row[peer.kind] = {"ms": statistics.median(peer.rounds), "ratio": statistics.median(ratios),
                          "spread": [min(ratios), max(ratios)], "rss_bytes": peer.ask("rss")[0]}
    if compile_seconds is not None:
        row["compile_seconds"] = compile_seconds
    row["failures"] = failures
    for peer in peers:
        peer.close()
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help="the benchmark program")
    parser.add_argument("--shape", action="append", choices=SHAPES, help="one shape, again for more; without it, all")
    parser.add_argument("--peers", default="torch,jax:1",
                        help="of torch, torch-sparse (rows of the embedding alone are updated), torch.compile,"
                             " jax:UNROLL (scan's option), each-row (unroll without sharing the products of recurring"
                             " symbols)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each peer in each round")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.serve:
        return serve(o.serve, o.shape[0], o.file)
    for kind in o.peers.split(","):
        if not re.fullmatch(r"torch|torch-sparse|torch\.compile|jax:[1-9][0-9]*|each-row", kind):
            parser.error(f"there is no peer '{kind}'")
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        for name in o.shape or SHAPES:
            row = compare(name, o.program, o.peers.split(","), o.rounds, o.seconds, o.core, scratch)
            failed = failed or bool(row["failures"])
            if o.json:
                print(json.dumps(row), flush=True)
                continue
            text = f"{name:<14} unroll {row['unroll_ms']:8.2f} ms {row['unroll_rss_bytes'] / 1e6:6.0f} MB"
            for kind in o.peers.split(","):
                if kind in row:
                    p = row[kind]
                    text += (f"   {kind} {p['ms']:8.2f} ms x {p['ratio']:.2f} ({p['spread'][0]:.2f}..{p['spread'][1]:.2f})"
                             f" {p['rss_bytes'] / 1e6:5.0f} MB")
            if "compile_seconds" in row:
                text += f"   compiled in {row['compile_seconds']:.0f} s"
            print(text, flush=True)
            for kind, why in row["failures"].items():
                print(f"  {kind}: {why}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
