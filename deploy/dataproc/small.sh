#!/usr/bin/env bash
# One machine that is master and worker, deleted after half an hour without work: to try Blockmix out.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
parse "$@"
[ -z "$delete" ] || delete_and_end

upload
run gcloud dataproc clusters create "$name" "--project=$project" "--region=$region" "--zone=$zone" \
    --single-node --master-machine-type=n2-standard-4 --master-boot-disk-size=100GB \
    --image-version=3.0-debian12 --no-address --shielded-secure-boot "--bucket=$bucket" \
    "--initialization-actions=gs://$bucket/blockmix/install.sh" --initialization-action-timeout=20m \
    --max-idle=30m
say_how
