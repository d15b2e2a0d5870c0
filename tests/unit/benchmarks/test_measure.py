"""The arithmetic of the benchmark. That its servers start and agree is shown by tests/system/run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bootstrap import median_interval
from benchmarks.measure import Measured, cpu_ratio, median, ratio, read_wrk
from benchmarks.pgbench import named
from benchmarks.report import LOAD_COLUMNS, Goal, Line, Section, load_rows, markdown

ROOT: Final = Path(__file__).parents[3]
FASTIFY: Final = ROOT / "benchmarks/peers/fastify"
WRK: Final = """\
Running 4s test @ https://localhost:1/students
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.63ms    1.02ms  20.11ms   90.00%
    Req/Sec     3.28k   300.00     3.90k    75.00%
  Latency Distribution
     50%    4.63ms
     75%    5.01ms
     90%    6.00ms
     99%  920.00us
  8000 requests in 4.01s, 12.10MB read
Requests/sec:   1995.01
Transfer/sec:      3.02MB
"""
numbers = st.floats(-1e6, 1e6)


def test_what_wrk_says_is_read() -> None:
    """Requests a second, latency in microseconds whatever its unit, and processor time by request."""
    assert read_wrk(WRK, cpu_seconds=2.0) == Measured(1995.01, 250.0, 4630.0, 920.0)


@pytest.mark.parametrize("line", ["  Non-2xx or 3xx responses: 1", "  Socket errors: connect 0, read 3"])
def test_a_run_with_failures_is_no_result(line: str) -> None:
    """Refusals are fast: counted as answers they would make any server look good."""
    with pytest.raises(SystemExit, match="Not every request"):
        read_wrk(f"{WRK}{line}\n", cpu_seconds=2.0)


def test_another_text_of_wrk_is_no_result() -> None:
    """A version that prints something else is not read as zero."""
    with pytest.raises(SystemExit, match="Another text"):
        read_wrk("wrk 9\n", cpu_seconds=2.0)


def test_rounds_are_compared_with_their_neighbours() -> None:
    """A round in which the machine was slow for both does not move the ratio."""
    ours = [Measured(50, 20), Measured(10, 100), Measured(60, 20)]
    theirs = [Measured(100, 10), Measured(20, 50), Measured(100, 10)]
    assert ratio(ours, theirs) == 0.5
    assert cpu_ratio(ours, theirs) == 2
    assert cpu_ratio(ours, [Measured(1)] * 3) is None
    assert median(ours) == Measured(50, 20, None, None)


@given(st.lists(numbers, min_size=1, max_size=30), st.integers(0, 5))
def test_an_interval_lies_within_the_values_and_is_the_same_again(values: list[float], seed: int) -> None:
    """It never claims more than was seen, and a report can be made again."""
    low, high = median_interval(values, seed, resamples=50)
    assert min(values) <= low <= high <= max(values)
    assert median_interval(values, seed, resamples=50) == (low, high)


def test_an_interval_finds_a_difference_and_finds_none() -> None:
    """Values around 5 leave 0 out; values around 0 do not."""
    noise = [((number * 7919) % 201 - 100) / 10 for number in range(1000)]
    assert median_interval([value + 5 for value in noise], seed=1, resamples=200)[0] > 0
    low, high = median_interval(noise, seed=1, resamples=200)
    assert low <= 0 <= high


def test_a_statement_is_written_for_pgbench() -> None:
    """Arguments get names; a cast stays one; what pgbench would replace by mistake stops the run."""
    assert named("SELECT $1::text, $12 WHERE a = $1") == "SELECT :a1::text, :a12 WHERE a = :a1"
    with pytest.raises(SystemExit, match="colon"):
        named("SELECT ':name'")


def test_a_table_is_whole() -> None:
    """Each line has a cell for each heading, what was not measured a dash, and what is compared its ratio."""
    lines = [Line("ours", 1), Line("theirs")]
    rows = load_rows(lines, [[Measured(5_000, 40, 10, 2_000)], [Measured(10_000)]])
    assert rows == [
        ["ours", "5,000", "0.50", "40.0", "–", "10.0", "2,000"],
        ["theirs", "10,000", "1.00", "–", "–", "–", "–"],
    ]
    goal = Goal("half of theirs", 0.5, met=True)
    text = markdown(Section("sqlite", "Title", "one run", LOAD_COLUMNS, rows, [goal], ["A note."]))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == {len(LOAD_COLUMNS) + 1}
    assert len(table) == 4
    assert "Goal: half of theirs: met (0.50)." in text
    assert "`make bench PARTS=sqlite`" in text


def test_packages_of_fastify_are_pinned_and_name_no_registry() -> None:
    """Exact versions with digests, and no address to download from."""
    wanted = json.loads((FASTIFY / "package.json").read_text())["dependencies"]
    lock = json.loads((FASTIFY / "package-lock.json").read_text())["packages"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    for name, package in lock.items():
        if name:
            assert package["integrity"].startswith("sha512-"), name
            assert "resolved" not in package, name
    assert all(lock[f"node_modules/{name}"]["version"] == version for name, version in wanted.items())
