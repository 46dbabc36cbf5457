#!/usr/bin/env bash
# Runs on every node while the cluster is made. Puts Blockmix and its locked requirements, PySpark
# among them, into /opt/blockmix: the same Spark on every machine that a block is ever fitted on,
# whatever the image brings. YARN and the connector to Cloud Storage are the image's.
set -euo pipefail

home=/opt/blockmix
bucket=$(/usr/share/google/get_metadata_value attributes/dataproc-bucket)
mkdir -p "$home"
gcloud storage cp "gs://$bucket/blockmix/blockmix.tar.gz" - | tar -C "$home" -xzf -

python=$(command -v python3.11 || command -v /opt/conda/default/bin/python3.11)
"$python" -m venv "$home/venv"
"$home/venv/bin/python" -m pip install --quiet --require-hashes -r "$home/requirements/bootstrap.txt"
"$home/venv/bin/uv" pip install --quiet --python "$home/venv/bin/python" \
    --requirement "$home/requirements/runtime.in" --constraint "$home/requirements/lock.txt" \
    --override "$home/requirements/overrides.txt"
# What reads a lake in Cloud Storage outside Spark; the lock is of what every installation needs.
"$home/venv/bin/uv" pip install --quiet --python "$home/venv/bin/python" gcsfs \
    --constraint "$home/requirements/lock.txt"
echo "$home" >"$home/venv/lib/python3.11/site-packages/blockmix.pth"

# The project's settings and what this cluster needs.
{
    cat "$home/configs/spark.conf"
    printf '%s\n' \
        "spark.submit.deployMode client" \
        "spark.jars $(find /usr/local/share/google/dataproc/lib /usr/lib/hadoop/lib -name 'gcs-connector*.jar' | head -n 1)" \
        "spark.pyspark.python $home/venv/bin/python" \
        "spark.dynamicAllocation.enabled true" \
        "spark.dynamicAllocation.shuffleTracking.enabled true" \
        "spark.executor.memoryOverheadFactor 0.4"
} >"$home/yarn.conf"

cat >"$home/run" <<RUN
#!/bin/sh
# blockmix, with the cluster's Spark and the lake in Cloud Storage.
export SPARK_HOME=$home/venv/lib/python3.11/site-packages/pyspark HADOOP_CONF_DIR=/etc/hadoop/conf
export PYSPARK_PYTHON=$home/venv/bin/python
export BLOCKMIX_SPARK_MASTER=yarn BLOCKMIX_SPARK_CONF=$home/yarn.conf
export BLOCKMIX_LAKE="\${BLOCKMIX_LAKE:-gs://$bucket/lake}" BLOCKMIX_HOME="\${BLOCKMIX_HOME:-/var/lib/blockmix}"
exec $home/venv/bin/python -c 'from gmm_core.cli.app import main; main()' "\$@"
RUN
chmod 755 "$home/run"
