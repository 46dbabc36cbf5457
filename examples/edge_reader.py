"""Score rows with an exported model and the standard library alone: one JSON row a line on stdin.

blockmix export baskets --out model.json && python examples/edge_reader.py model.json < rows.jsonl
"""

import bisect
import json
import math
import sys
from pathlib import Path

FURTHEST = 1e150  # deviations; beyond, a value is just that far: its square stays a number
TRANSFORMS = {"identity": float, "log": math.log, "log1p": math.log1p, "sqrt": math.sqrt}


def log_prob(model: dict, row: dict) -> float:
    """Log-density of a row in source units; raises ValueError for a value that has none."""
    z = [TRANSFORMS[one["transform"]](row[one["name"]]) for one in model["features"]]
    if not all(map(math.isfinite, z)):
        raise ValueError(f"not all values are finite: {row}")
    joint = []
    for part in model["components"]:
        terms = zip(z, part["mean"], part["inverse_sd"], strict=True)
        away = (min(abs((x - mean) * by), FURTHEST) for x, mean, by in terms)
        joint.append(part["offset"] - sum(value**2 for value in away) / 2)
    top = max(joint)
    return top + math.log(sum(math.exp(value - top) for value in joint))


def score(model: dict, row: dict) -> float:
    """0 usual to 1 unusual."""
    at, tail, value = model["log_density"], model["log_tail"], log_prob(model, row)
    i = bisect.bisect_right(at, value)
    if i == 0:
        return -math.expm1(tail[0] + value - at[0])
    if i == len(at):
        return abs(math.expm1(tail[-1]))
    share = (value - at[i - 1]) / (at[i] - at[i - 1])
    return abs(math.expm1(tail[i - 1] + share * (tail[i] - tail[i - 1])))


if __name__ == "__main__":
    exported = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for line in sys.stdin:
        print(repr(score(exported, json.loads(line))))
