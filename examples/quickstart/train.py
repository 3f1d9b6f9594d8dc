"""Pretends to train a model: reads its parameters, works a moment, prints, and writes down how well it did."""

import argparse
import json
import math
import os
import time


def main():
    """Read the command line, "train" for a tenth of a second, report the loss."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learning_rate", type=float, default=0.01)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--hidden_dim", type=int, default=128)
    options = parser.parse_args()

    # A made-up loss with one best point, near learning_rate 0.01, batch_size 64, hidden_dim 256.
    goal = abs(math.log10(options.learning_rate) + 2) + abs(math.log2(options.batch_size / 64)) / 4
    goal += math.log2(256 / options.hidden_dim) / 8
    loss = 2.0
    for epoch in range(1, 6):
        time.sleep(0.02)
        loss += (0.1 + goal / 4 - loss) * 0.7
        print(f"epoch {epoch}: loss {loss:.4f}", flush=True)

    # hsm says where results go; without hsm they go where you are.
    with open(os.environ.get("HSM_METRICS_FILE", "metrics.json"), "w") as file:
        json.dump({"loss": round(loss, 4), "accuracy": round(1 / (1 + loss), 4)}, file)


if __name__ == "__main__":
    main()
