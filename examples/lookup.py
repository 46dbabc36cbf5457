"""Score rows with the champion of a stream from any job: needs mlflow and pandas, no Blockmix.

python examples/lookup.py --tracking-uri http://127.0.0.1:5000 --stream baskets
"""

import argparse
import os
import sys

# A server that is not there should be reported in seconds, not after minutes of retries.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException


def main() -> int:
    """Resolve the alias once, pin the version, score its example and one odd row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    uri = os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    parser.add_argument("--tracking-uri", default=uri, help="default: %(default)s")
    parser.add_argument("--stream", default="baskets", help="default: %(default)s")
    args = parser.parse_args()
    mlflow.set_tracking_uri(args.tracking_uri)
    try:
        # The alias may move while this job runs; the version never changes.
        champion = mlflow.MlflowClient().get_model_version_by_alias(args.stream, "champion")
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return fail(f"no champion of {args.stream} at {args.tracking_uri}: promote a version")
        return fail(f"no answer from MLflow at {args.tracking_uri}: is the server running?")
    model = mlflow.pyfunc.load_model(f"models:/{args.stream}/{champion.version}")

    print(f"{args.stream}: champion is version {champion.version}, pinned for this run")
    print("".join(f"  {tag:<16}{champion.tags[tag]}\n" for tag in sorted(champion.tags)))
    rows = model.input_example  # plausible rows that travel with the model
    odd = rows.head(1).assign(**{rows.columns[0]: rows.iloc[0, 0] * 50})
    rows = pd.concat([rows, odd], ignore_index=True)
    names = ["score", "component", "log_prob"]
    answers = [model.predict(rows, params={"output": name}) for name in names]
    print(pd.concat([rows, *answers], axis=1).round(4).to_string(), end="\n\n")
    limit = model.metadata.metadata["anomaly_above"]
    unusual = answers[0].index[answers[0]["score"] > limit].tolist()
    print(f"unusual rows (score above {limit}): {unusual or 'none'}")
    return 0


def fail(reason: str) -> int:
    """One line on stderr, exit status 1."""
    print(f"lookup: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
