"""Trains a small neural network to read handwritten digits, and says how well it reads those it has not seen."""

import argparse
import json
import os
import pickle
import warnings
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def main():
    """Train with the parameters of the command line; leave `metrics.json` and the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learning_rate", type=float, default=0.01)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--hidden_dim", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    images, digits = load_digits(return_X_y=True)  # 1,797 images of 8 x 8 pixels, which come with scikit-learn
    train_images, test_images, train_digits, test_digits = train_test_split(
        images / 16, digits, test_size=0.3, random_state=options.seed, stratify=digits
    )
    model = MLPClassifier(
        hidden_layer_sizes=(options.hidden_dim,),
        learning_rate_init=options.learning_rate,
        batch_size=options.batch_size,
        max_iter=options.epochs,
        random_state=options.seed,
    )
    # A fixed number of epochs is what is compared here; that more would help is not worth a warning.
    warnings.simplefilter("ignore", ConvergenceWarning)
    model.fit(train_images, train_digits)
    metrics = {
        "test_accuracy": model.score(test_images, test_digits),
        "train_accuracy": model.score(train_images, train_digits),
        "loss": model.loss_,
        "epochs": model.n_iter_,
    }
    print(json.dumps(metrics))

    # hsm says where results go; without hsm they go where you are.
    Path(os.environ.get("HSM_METRICS_FILE", "metrics.json")).write_text(json.dumps(metrics))
    with open(Path(os.environ.get("HSM_RESULTS_DIR", ".")) / "model.pickle", "wb") as file:
        pickle.dump(model, file)


if __name__ == "__main__":
    main()
