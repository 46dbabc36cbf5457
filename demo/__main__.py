"""`make demo`: start everything, backfill 14 days, show what came out, stay up until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import fcntl
import functools
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from demo import fault
from demo.airflow import AirflowClient, environment, migrate, processes
from demo.board import STEPS, Board
from demo.services import LOOPBACK, Service, free_ports, running
from gmm_core.cli.tables import blocks_table, components_table, quarantine_table
from gmm_core.config import Settings
from gmm_core.errors import BlockmixError, ComputationFailed, ServiceUnavailable
from gmm_core.pipeline.stream_files import load_stream
from gmm_core.pipeline.streams import Stream
from gmm_core.pipeline.verbs import CHAMPION
from gmm_core.pipeline.wiring import open_services

PROJECT = Path(__file__).resolve().parent.parent
STREAM, FIRST, DAYS = "baskets", dt.date(2017, 3, 1), 14
# Small blocks for a few minutes: a JVM that optimised its code would compile more than it ran.
QUICK_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
OVERLAP = dt.timedelta(seconds=5)  # a change is dated before it is committed
LIMIT = 1800.0  # seconds after which a backfill that does not end is given up


def main() -> int:
    """Run the demo; the exit status."""
    options = _options()
    console = Console()
    signal.signal(signal.SIGTERM, _interrupt)
    keys = [str(FIRST + dt.timedelta(days=i)) for i in range(options.days)]
    home = PROJECT / (".blockmix-fault" if options.fault else ".blockmix")
    try:
        ports = free_ports({"airflow": 8080, "spark": 15002, "mlflow": 5000, "docs": 8081})
        settings = _settings(home, ports)
        if options.fault:
            bad_key = keys[len(keys) // 2]
            console.print(
                f"[bold]Corrupting the source[/] on {bad_key}: amounts arrive in cents, not dollars"
            )
            settings = settings.model_copy(
                update={"streams": fault.corrupted_streams(home, STREAM, bad_key)}
            )
        with _alone(home):
            if (home / "lake").exists():
                console.print(
                    f"[bold]Going on[/] from {home}: what is there is left as it is; "
                    "`make clean` starts anew"
                )
            _demonstrate(settings, ports["airflow"], keys, console, stay=bool(options.keep))
        if not options.keep:
            console.print(
                "Everything is stopped. `.venv/bin/blockmix status baskets` works without it; "
                f"the reports are in {settings.quality_root / 'gx' / 'docs' / 'index.html'}",
                soft_wrap=True,
            )
    except KeyboardInterrupt:
        console.print("\nstopped")
    except BlockmixError as error:
        Console(stderr=True).print(f"[red]error:[/] {escape(str(error))}", highlight=False)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", type=int, choices=(0, 1), default=1, help="stay up at the end")
    parser.add_argument("--fault", action="store_true", help="corrupt one of the days")
    parser.add_argument("--days", type=int, default=DAYS, choices=range(1, 32), metavar="1..31")
    return parser.parse_args()


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the folder; raises `ServiceUnavailable` when another demo does."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceUnavailable(
                f"a demo is running on {home} already", remedy="stop it with Ctrl-C there"
            ) from None
        yield


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _settings(home: Path, ports: dict[str, int]) -> Settings:
    mlflow = f"http://{LOOPBACK}:{ports['mlflow']}"
    return Settings(
        home=home,
        spark_remote=f"sc://{LOOPBACK}:{ports['spark']}",
        tracking_uri=mlflow,
        data_docs_ui=f"http://{LOOPBACK}:{ports['docs']}",
    )


def _demonstrate(
    settings: Settings, port: int, keys: list[str], console: Console, *, stay: bool
) -> None:
    env = {**environment(settings.home, port, parallelism=4), **settings.environment()}
    os.environ.update(settings.environment())  # this process reads the same lake and registry
    console.print(
        f"[bold]Starting[/] Airflow, MLflow, Spark and Data Docs (logs in {settings.home / 'logs'})",
        soft_wrap=True,
    )
    with console.status("preparing Airflow's database"):
        migrate(env, settings.home / "logs" / "airflow-migrate.log")
    begin = time.monotonic()
    with running(
        _services(settings, env, port),
        settings.home / "logs",
        functools.partial(_say_ready, console),
    ):
        client, stream = AirflowClient(port), load_stream(STREAM, settings.streams)
        board = Board(STREAM, keys, console)
        with console.status("waiting for the DAGs to be parsed"):
            _await_dags(client)
        pace = _run(client, board, console)
        _report(settings, stream, console)
        alone = board.seconds(board.keys[-1])
        console.print(
            f"{len(keys)} blocks in {time.monotonic() - begin:.0f} s, start of the services included; "
            f"history at {pace:.1f} s a block, the last day alone {alone:.1f} s from landing to marts",
            highlight=False,
        )
        if stay:
            _addresses(settings, port, console)
            console.print("Ctrl-C stops everything.")
            while True:
                time.sleep(3600)


def _services(settings: Settings, env: dict[str, str], port: int) -> list[Service]:
    from gmm_core.registry import server as mlflow
    from gmm_core.spark import session as spark

    spark_port, mlflow_port, docs_port = (
        int(url.rsplit(":", 1)[1])
        for url in (settings.spark_remote, settings.tracking_uri, settings.data_docs_ui)
    )
    store = settings.home / "mlflow"
    store.mkdir(parents=True, exist_ok=True)
    docs = settings.quality_root / "gx" / "docs"
    docs.mkdir(parents=True, exist_ok=True)
    return [
        Service(
            "spark-connect",
            spark.server_command(spark_port),
            {**spark.server_environment(), "JDK_JAVA_OPTIONS": QUICK_JVM},
            port=spark_port,
        ),
        Service(
            "mlflow",
            mlflow.server_command(
                mlflow_port,
                f"sqlite:///{store / 'mlflow.db'}",
                str(store / "artifacts"),
                own_files=True,
            ),
            mlflow.server_environment(),
            health=f"{settings.tracking_uri}/health",
        ),
        Service(
            "data-docs",
            [
                sys.executable,
                "-m",
                "http.server",
                str(docs_port),
                "--bind",
                LOOPBACK,
                "--directory",
                str(docs),
            ],
            port=docs_port,
        ),
        *processes(env, port),
    ]


def _say_ready(console: Console, name: str, seconds: float) -> None:
    console.print(f"  {name} is up after {seconds:.0f} s", highlight=False)


def _await_dags(client: AirflowClient, patience: float = 120.0) -> None:
    wanted = sorted({f"{STREAM}_{dag}" for _, dag, _ in STEPS})
    deadline = time.monotonic() + patience
    while not client.knows(wanted):
        if errors := client.import_errors():
            raise ServiceUnavailable("a DAG file does not parse", remedy=errors[0].splitlines()[-1])
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                f"the DAGs {wanted} did not appear",
                got=f"{patience:.0f} s",
                remedy="read the log of airflow-dag-processor",
            )
        time.sleep(0.5)


def _run(client: AirflowClient, board: Board, console: Console) -> float:
    """All days but the last as one backfill, then the last alone; seconds a day of history took."""
    *history, newest = board.keys
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        live = None
        if console.is_terminal:
            live = stack.enter_context(Live(board.table(), console=console))
        if history:
            console.print(f"[bold]Backfilling[/] {history[0]} to {history[-1]}")
            since = dt.datetime.now(dt.UTC)
            client.backfill(f"{STREAM}_fit_block", history[0], history[-1], max_active_runs=1)
            _watch(client, board, live, history, since)
        pace = (time.monotonic() - begin) / max(len(history), 1)
        console.print(f"[bold]One more day[/] {newest}, alone as every night")
        since = dt.datetime.now(dt.UTC)
        client.trigger(f"{STREAM}_fit_block", newest)
        _watch(client, board, live, [newest], since)
    return pace


def _watch(
    client: AirflowClient, board: Board, live: Live | None, keys: list[str], since: dt.datetime
) -> None:
    deadline = time.monotonic() + LIMIT
    while not board.finished(keys):
        if time.monotonic() > deadline:
            raise ComputationFailed(
                "the days did not come to an end",
                got=f"{LIMIT:.0f} s",
                remedy="look at the runs in Airflow",
            )
        time.sleep(0.5)
        begin = dt.datetime.now(dt.UTC)
        board.update(client.changes(STREAM, since), live)
        since = begin - OVERLAP


def _report(settings: Settings, stream: Stream, console: Console) -> None:
    services = open_services(settings)
    console.print(blocks_table(stream, services))
    champion = services.registry.alias(stream.name, CHAMPION)
    if champion is not None:
        model = services.registry.load(stream.name, champion.version)
        console.print(components_table(stream, champion, model))
    if (refused := quarantine_table(stream, services)) is not None:
        console.print(refused)


def _addresses(settings: Settings, port: int, console: Console) -> None:
    console.print(f"[bold]Airflow[/]    http://{LOOPBACK}:{port}/dags/{STREAM}_fit_block")
    console.print(f"[bold]MLflow[/]     {settings.tracking_uri}/#/models/{STREAM}")
    console.print(f"[bold]Data Docs[/]  {settings.data_docs_ui}")
    console.print("To use them from another terminal:")
    shared = {"BLOCKMIX_HOME", "BLOCKMIX_STREAMS", "BLOCKMIX_SPARK_REMOTE", "BLOCKMIX_TRACKING_URI",
              "BLOCKMIX_DATA_DOCS_UI"}  # fmt: skip
    exports = {n: v for n, v in settings.environment().items() if n in shared}
    for name, value in {**exports, "MLFLOW_TRACKING_URI": settings.tracking_uri}.items():
        console.print(f"  export {name}={value}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
