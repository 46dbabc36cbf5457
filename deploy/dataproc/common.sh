# shellcheck shell=bash
# What small.sh and production.sh share. Sourced, not run.

usage() {
    cat >&2 <<TEXT
usage: $0 [--dry-run] --project ID --region REGION --bucket NAME [--zone ZONE] [--name CLUSTER]
       $0 [--dry-run] --project ID --region REGION [--name CLUSTER] --delete
Makes a Dataproc cluster with Blockmix on every node. --dry-run prints every command and runs none.
TEXT
    exit 2
}

name=blockmix project='' region='' zone='' bucket='' dry_run='' delete=''

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run) dry_run=1 ;;
            --delete) delete=1 ;;
            --name | --project | --region | --zone | --bucket)
                [ $# -ge 2 ] || usage
                check "$1" "$2"
                printf -v "${1#--}" %s "$2"
                shift ;;
            *) usage ;;
        esac
        shift
    done
    [ -n "$project" ] && [ -n "$region" ] || usage
    [ -n "$delete" ] || [ -n "$bucket" ] || usage
    zone=${zone:-$region-b}
}

# Names go into a file and a command line of another machine: only what Google's names consist of.
check() {
    [[ $2 =~ ^[a-z][a-z0-9._-]{0,62}$ ]] ||
        { printf 'blockmix: %s: got %s; allowed: lower-case letters, digits, - _ .\n' "$1" "$2" >&2; exit 2; }
}

run() {
    if [ -n "$dry_run" ]; then
        printf '%q ' "$@"
        printf '\n'
    else
        "$@"
    fi
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The code that the nodes install, and the script that installs it.
upload() {
    run tar -C "$root" -czf "$work/blockmix.tar.gz" configs dags deploy dbt expectations gmm_core \
        pyproject.toml README.md LICENSE requirements
    run gcloud storage cp "$work/blockmix.tar.gz" "$here/install.sh" "gs://$bucket/blockmix/" \
        "--project=$project"
}

delete_and_end() {
    run gcloud dataproc clusters delete "$name" "--project=$project" "--region=$region" --quiet
    exit 0
}

# How to use it: the nodes have no outer address, so through Google's proxy.
say_how() {
    printf 'blockmix: to take a block through the cluster:\n  ' >&2
    printf '%q ' gcloud compute ssh "$name-m" "--project=$project" "--zone=$zone" --tunnel-through-iap \
        --command="sudo /opt/blockmix/run fit STREAM 2024-01-01" >&2
    printf '\n' >&2
}
