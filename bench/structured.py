"""CTC, a linear-chain CRF and beam search of unroll and of PyTorch side by side: ./run bench structured

Each peer is a process of its own, pinned to one core with one thread, that waits while the other runs; both start from
the same weights and data, and must agree on the result. The CRF is that which users write in eager PyTorch (a loop over
time with logsumexp), the beam search the usual batched loop with topk. Reported are medians over the rounds of the
ratios within a round, with the smallest and the largest.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile

from compare import Peer, load, serve_steps

CASES = ("ctc", "crf", "beam")


def torch_ctc(data):
    import torch
    F = torch.nn.functional
    logits = torch.from_numpy(data["logits"].copy()).requires_grad_()
    targets = torch.from_numpy(data["labels"]).long()
    lengths = torch.full((logits.shape[1],), logits.shape[0])
    target_lengths = torch.full((logits.shape[1],), targets.shape[1])

    def step():
        logits.grad = None
        loss = F.ctc_loss(torch.log_softmax(logits, 2), targets, lengths, target_lengths)
        loss.backward()
        return loss.item()

    return step


def torch_crf(data):
    import torch
    names = ("emissions", "transitions", "start", "end")
    emissions, transitions, start, end = (torch.from_numpy(data[n].copy()).requires_grad_() for n in names)
    labels = torch.from_numpy(data["labels"]).long()
    rows = torch.arange(labels.shape[1])

    def step():
        for p in (emissions, transitions, start, end):
            p.grad = None
        score = start[labels[0]] + emissions[0, rows, labels[0]]
        alpha = start + emissions[0]
        for t in range(1, emissions.shape[0]):
            score = score + transitions[labels[t - 1], labels[t]] + emissions[t, rows, labels[t]]
            alpha = torch.logsumexp(alpha.unsqueeze(2) + transitions, 1) + emissions[t]
        score = score + end[labels[-1]]
        loss = (torch.logsumexp(alpha + end, 1) - score).mean()
        loss.backward()
        return loss.item()

    return step


def torch_beam(data, sources=16, width=5, steps=30):
    import torch
    t = {k: torch.from_numpy(v.copy()) for k, v in data.items()}
    embed, head, bias = t["embed/table"], t["head/weight"], t["head/bias"]
    cell = torch.nn.LSTMCell(embed.shape[1], head.shape[0])
    with torch.no_grad():
        cell.weight_ih.copy_(t["rnn/cell/input/weight"].T), cell.weight_hh.copy_(t["rnn/cell/recurrent/weight"].T)
        cell.bias_ih.copy_(t["rnn/cell/input/bias"]), cell.bias_hh.zero_()

    @torch.no_grad()
    def step():
        h = torch.zeros(sources, head.shape[0])
        state = cell(embed[torch.arange(sources)], (h, h))
        log_p = torch.log_softmax(state[0] @ head + bias, 1)
        scores, tokens = log_p.topk(width, 1)
        state = [s.repeat_interleave(width, 0) for s in state]
        first = torch.arange(sources).unsqueeze(1) * width
        history = [tokens]
        for _ in range(1, steps):
            state = cell(embed[tokens.reshape(-1)], tuple(state))
            log_p = torch.log_softmax(state[0] @ head + bias, 1).reshape(sources, width, -1)
            scores, best = (scores.unsqueeze(2) + log_p).reshape(sources, -1).topk(width, 1)
            parents, tokens = best // head.shape[1], best % head.shape[1]
            rows = (first + parents).reshape(-1)
            state = [s[rows] for s in state]
            history = [torch.gather(past, 1, parents) for past in history] + [tokens]
        return scores[:, 0].sum().item()

    return step


def serve(name, path):
    import torch
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    serve_steps({"ctc": torch_ctc, "crf": torch_crf, "beam": torch_beam}[name](load(path)))


def compare(name, o, scratch):
    saved = os.path.join(scratch, name + ".safetensors")
    pin = ["taskset", "-c", str(o.core)]
    peers = [Peer("unroll", pin + [o.program, "serve-structured", "--case", name, "--save", saved]),
             Peer("torch", pin + [sys.executable, __file__, "--serve", name, "--file", saved])]
    results = [peer.ask("losses 1")[0] for peer in peers]
    if abs(results[0] - results[1]) > 1e-4 * abs(results[0]):
        raise SystemExit(f"{name}: unroll has {results[0]}, torch {results[1]}")
    for peer in peers:
        peer.ask("time 2")
    counts = [max(3, int(1e3 * o.seconds / statistics.median(peer.ask("time 3")))) for peer in peers]
    for _ in range(o.rounds):
        for peer, count in zip(peers, counts):
            peer.rounds.append(statistics.median(peer.ask(f"time {count}")))
    ratios = [b / a for a, b in zip(peers[0].rounds, peers[1].rounds)]
    for peer in peers:
        peer.close()
    return {"bench": "structured", "name": name, "unroll_ms": statistics.median(peers[0].rounds),
            "torch_ms": statistics.median(peers[1].rounds), "ratio": statistics.median(ratios),
            "spread": [min(ratios), max(ratios)], "result": results[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help="the benchmark program")
    parser.add_argument("--case", action="append", choices=CASES, help="one of them, again for more; without it, all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each peer in each round")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.serve:
        return serve(o.serve, o.file)
    with tempfile.TemporaryDirectory() as scratch:
        for name in o.case or CASES:
            row = compare(name, o, scratch)
            if o.json:
                print(json.dumps(row), flush=True)
            else:
                print(f"{name:<5} unroll {row['unroll_ms']:8.3f} ms   torch {row['torch_ms']:8.3f} ms   "
                      f"x {row['ratio']:.2f} ({row['spread'][0]:.2f}..{row['spread'][1]:.2f})", flush=True)


if __name__ == "__main__":
    main()
