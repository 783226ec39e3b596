"""Damage packets at random: nothing crashes, none is lost, what cannot be read is a dead letter.

Packets of ZTF and LSST, plain and compressed, are damaged by changed bytes, cuts, doubled and
exchanged stretches; every one must end as an alert or as a dead letter with its bytes.

    python benchmarks/nightly_fuzz.py [--packets 100000]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter

import numpy as np
from record import record

from astroprep.nightly.ingest import SURVEYS, AlertReader
from astroprep.nightly.sources import Message
from astroprep.synthetic import simulate_alerts

CHUNK = 2000


def damaged(rng: np.random.Generator, packet: bytes) -> bytes:
    """One of five kinds of damage, half of it behind the schema, which is most of a packet."""
    data = bytearray(packet)
    body = packet.index(packet[-16:]) + 16 if rng.random() < 0.5 else 0
    kind = rng.integers(5)

    def place() -> int:
        return int(rng.integers(body, len(data)))

    if kind <= 1:
        for _ in range(int(rng.integers(1, 9))):
            data[place()] = rng.integers(256)
    elif kind == 2:
        del data[place() :]
    elif kind == 3:
        start, at = place(), place()
        data[at:at] = data[start : start + int(rng.integers(1, 300))]
    else:
        at, size = place(), int(rng.integers(1, 200))
        data[at : at + size] = rng.bytes(min(size, len(data) - at))
    return bytes(data)


def main() -> None:
    """Damage packets and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    rows = []
    kinds = [(s, c) for s in ("ztf", "lsst") for c in ("null", "snappy", "deflate")]
    for survey, codec in kinds:
        _, nights = simulate_alerts(10, 6, 1, survey=survey, codec=codec, cutout=100)
        packets = [p for night in nights for p in night.packets]
        reader = AlertReader(SURVEYS[survey], 2)
        reasons: Counter[str] = Counter()
        alerts = dead = kept = 0
        n = -(-args.packets // len(kinds))
        begun = time.process_time()
        for start in range(0, n, CHUNK):
            size = min(CHUNK, n - start)
            made = [damaged(rng, packets[rng.integers(len(packets))]) for _ in range(size)]
            found = reader.read([Message(data, "mutant") for data in made])
            own = int((found.observations["quality"].to_numpy() == 1).sum())
            if found.n_received != own + found.dead.num_rows or found.n_received < size:
                raise SystemExit("packets were lost")
            alerts, dead = alerts + own, dead + found.dead.num_rows
            sent = set(made)
            kept += sum(data in sent for data in found.dead["data"].to_pylist())
            reasons.update(r.split("(")[0][:40] for r in found.dead["reason"].to_pylist())
        row = {
            "survey": survey,
            "codec": codec,
            "packets": n,
            "alerts": alerts,
            "dead_letters": dead,
            "dead_with_their_bytes": kept,
            "reasons": len(reasons),
            "ms_a_packet": round((time.process_time() - begun) / n * 1e3, 3),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        rows.append(row)
        print(row, reasons.most_common(3))
    record("nightly_fuzz", rows, args.out, data="simulate_alerts", seed=args.seed)


if __name__ == "__main__":
    main()
