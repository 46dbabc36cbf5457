"""Score a Parquet table over HTTP with a served model: needs pyarrow and numpy, no MLflow, no Blockmix.

MLFLOW_PYFUNC_INFERENCE_CONFIG='{"form": "packed"}' mlflow models serve \
    --model-uri models:/baskets@champion --env-manager local --port 5001 --workers 2
python examples/over_http.py http://127.0.0.1:5001 day.parquet --out scored.parquet
"""

import argparse
import base64
import io
import json
import sys
import urllib.error
import urllib.request

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

KIND = "application/vnd.apache.parquet"


def main() -> int:
    """Send the rows in batches, and write them with the answers beside them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("server", help="address of `mlflow models serve`")
    parser.add_argument("rows", help="a Parquet file with the model's features")
    parser.add_argument("--out", required=True, help="the Parquet file to write")
    parser.add_argument("--batch", type=int, default=20_000, help="rows a request: %(default)s")
    args = parser.parse_args()
    if not args.server.startswith(("http://", "https://")):
        return fail(f"no address of a server: {args.server}")
    scored = []
    try:
        for batch in pq.ParquetFile(args.rows).iter_batches(args.batch):
            rows = pa.Table.from_batches([batch])
            for name, values in ask(args.server, rows).items():
                rows = rows.append_column(name, pa.array(values))
            scored.append(rows)
    except urllib.error.HTTPError as error:
        return fail(f"{args.server} refused the rows: {reason_of(error)}")
    except OSError as error:  # no file, no server
        return fail(str(error))
    if not scored:
        return fail(f"no rows in {args.rows}")
    pq.write_table(pa.concat_tables(scored), args.out)
    print(f"{sum(map(len, scored))} rows scored: {args.out}")
    return 0


def ask(server: str, rows: pa.Table) -> dict:
    """The server's answer for some rows, as columns."""
    body = io.BytesIO()
    pq.write_table(rows, body)
    request = urllib.request.Request(  # noqa: S310 - looked at above
        f"{server}/invocations", body.getvalue(), {"Content-Type": KIND}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        said = json.load(answer)["predictions"]
    if isinstance(said, list):  # the server was started without a form: a record per row
        return {name: [record[name] for record in said] for name in said[0]}
    return {name: unpacked(column) for name, column in said.items()}


def unpacked(column: dict | list) -> np.ndarray | list:
    """Numbers from {dtype: base64 of their bytes}; a list as it is."""
    if isinstance(column, list):
        return column
    ((kind, text),) = column.items()
    return np.frombuffer(base64.b64decode(text), np.dtype(kind).newbyteorder("<"))


def reason_of(error: urllib.error.HTTPError) -> str:
    """The model's own words at the end of what MLflow tells, which also has the rows in it."""
    said = json.load(error)
    told = said.get("stack_trace") or said["message"].rpartition("Error: ")[2]
    return told.strip().splitlines()[-1]


def fail(reason: str) -> int:
    """One line on stderr, exit status 1."""
    print(f"over_http: {' '.join(reason.split())}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
