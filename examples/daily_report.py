"""A day of a stream for people, from its marts: needs duckdb and pandas, no Blockmix.

python examples/daily_report.py .blockmix/warehouse/baskets.duckdb 2017-03-14
"""

import argparse
import sys

import duckdb

DAY = """
    select block_key, rows, anomalies, model_version from marts.daily_summary
    where block_key = coalesce(?, (select max(block_key) from marts.daily_summary))
"""
ANOMALIES = """
    select round(score, 5) as score, component_id as segment,
        substr(explanation, strpos(explanation, ': ') + 2) as why
    from marts.anomalies where block_key = ? order by log_prob limit 5
"""
SEGMENTS = """
    select component_id as segment, rows, round(share, 3) as share, round(weight, 3) as "in the window",
        entities, round(columns('mean_.*'), 2)
    from marts.segments where block_key = ? order by rows desc, component_id
"""
MOVES = """
    select coalesce(from_component_id::varchar, '(absent)') as "from",
        coalesce(to_component_id::varchar, '(absent)') as "to", entities, round(share, 3) as "of all",
        case when born then 'born' when died then 'died' else '' end as component
    from marts.segment_migration
    where block_key = ? and from_component_id is distinct from to_component_id
    order by share desc, 1, 2 limit 8
"""


def main() -> int:
    """Print the summary, the anomalies with reasons, the segments, and what moved between them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("warehouse", help="the stream's DuckDB file")
    parser.add_argument("key", nargs="?", help="block key; default: the newest")
    args = parser.parse_args()
    try:
        # Reading keeps a writer out, who waits a minute: open late, close soon.
        with duckdb.connect(args.warehouse, read_only=True) as marts:
            cursor = marts.execute(DAY, [args.key])
            day = cursor.fetchone()
            if day is None:
                return fail(f"block {args.key} is not in {args.warehouse}")
            parts = {
                "anomalies, the most unusual first": ANOMALIES,
                "segments": SEGMENTS,
                "who moved since the block before": MOVES,
            }
            tables = {title: marts.execute(sql, [day[0]]).df() for title, sql in parts.items()}
    except duckdb.Error as error:
        return fail(f"cannot read {args.warehouse}: {str(error).splitlines()[0]}")
    key, rows, anomalies, version = day
    print(f"{key}: {rows} rows, {anomalies} of them anomalies, scored with version {version}")
    for title, table in tables.items():
        print(f"\n{title}\n{table.to_string(index=False) if len(table) else '  none'}")
    return 0


def fail(reason: str) -> int:
    """One line on stderr, exit status 1."""
    print(f"daily_report: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
