"""Score a Parquet table in Spark with a stream's champion: needs pyspark and mlflow, no Blockmix.

python examples/spark_job.py --stream baskets --rows day.parquet --out scored.parquet
"""

import argparse
import os

import mlflow
from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def main() -> None:
    """Resolve the alias once, score with the pinned version, write its number beside every row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    uri = os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    parser.add_argument("--tracking-uri", default=uri, help="default: %(default)s")
    parser.add_argument("--stream", required=True)
    parser.add_argument("--rows", required=True, help="Parquet files with the model's features")
    parser.add_argument("--out", required=True, help="folder to write")
    args = parser.parse_args()
    mlflow.set_tracking_uri(args.tracking_uri)
    champion = mlflow.MlflowClient().get_model_version_by_alias(args.stream, "champion")
    model = f"models:/{args.stream}/{champion.version}"  # pinned: the alias may move
    features = mlflow.models.get_model_info(model).signature.inputs.input_names()

    spark = SparkSession.builder.getOrCreate()
    rows = spark.read.parquet(args.rows)
    asked = {"score": "double", "explanation": "string"}
    for output, kind in asked.items():
        answer = mlflow.pyfunc.spark_udf(
            spark, model, kind, env_manager="local", params={"output": output}
        )
        rows = rows.withColumn(output, answer(F.struct(*features)))
    scored = rows.withColumn("model_version", F.lit(int(champion.version)))
    scored.write.mode("overwrite").parquet(args.out)
    print(f"scored with version {champion.version} of {args.stream}: {args.out}")


if __name__ == "__main__":
    main()
