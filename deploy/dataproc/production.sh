#!/usr/bin/env bash
# The cluster of cluster.yaml, deleted after an hour without work.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
parse "$@"
[ -z "$delete" ] || delete_and_end

upload
sed -e "s/@BUCKET@/$bucket/g" -e "s/@ZONE@/$zone/g" "$here/cluster.yaml" >"$work/cluster.yaml"
run gcloud dataproc clusters import "$name" "--project=$project" "--region=$region" \
    "--source=$work/cluster.yaml" --quiet
say_how
