"""Proves the table and the queries of docs/clicks.md in the engine of ClickHouse, with rows that a node has shipped to a file.

    pip install chdb
    python tests/clickhouse.py rows.jsonl
"""

import collections
import json
import pathlib
import re
import sys

from chdb import session

DOCUMENT = pathlib.Path(__file__).parent.parent / "docs" / "clicks.md"


def count(rows, key, keep):
    counts = collections.Counter()
    for row in rows:
        if keep(row):
            counts[key(row)] += row["sample_rate"]
    return dict(counts)


def main(path):
    lines = pathlib.Path(path).read_text().splitlines()
    # What comes again comes under the same id.
    rows = list({row["id"]: row for row in map(json.loads, lines)}.values())
    table, queries = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.S)[:2]
    engine = session.Session()
    engine.query("CREATE DATABASE proof")
    engine.query("USE proof")
    engine.query(table)
    insert = "INSERT INTO clicks SETTINGS input_format_skip_unknown_fields = 1 FORMAT JSONEachRow\n"
    engine.query(insert + "\n".join(lines))
    # The same rows in other blocks, as after a retry: FINAL makes them one.
    for some in (lines[::2], lines[1::2]):
        engine.query(insert + "\n".join(some))

    def ask(query):
        answer = engine.query(query, "JSONCompactEachRow").bytes().decode()
        return [json.loads(line) for line in answer.splitlines()]

    link = collections.Counter((row["domain"], row["code"]) for row in rows if row["outcome"] == "redirected").most_common(1)[0][0]
    queries = queries.replace("'go.example'", f"'{link[0]}'").replace("'debian'", f"'{link[1]}'")
    by_link, by_kind, by_who, visitors = (query for query in queries.split(";") if query.strip())

    def clicked(row):
        return row["bot"] == "person" and not row["prefetch"] and row["outcome"] == "redirected"

    def of_link(row):
        return clicked(row) and (row["domain"], row["code"]) == link

    expected = count(rows, lambda row: (row["domain"], row["code"], row["time"][:10]), clicked)
    assert {tuple(row[:3]): int(row[3]) for row in ask(by_link)} == expected, expected
    expected = {}
    for kind in ("country", "device", "referrer"):
        expected |= {(kind, value): n for value, n in count(rows, lambda row: row[kind], of_link).items()}
    assert {(by, value): int(n) for by, value, n in ask(by_kind)} == expected, expected
    expected = count(rows, lambda row: (row["time"][:10], "prefetch" if row["prefetch"] else row["bot"]), lambda _: True)
    assert {(day, who): int(n) for day, who, n in ask(by_who)} == expected, expected
    seen = collections.defaultdict(set)
    for row in rows:
        if row["domain"] == link[0] and row["address_kind"] == "hashed" and row["bot"] == "person":
            seen[row["time"][:10]].add(row["address"])
    assert {day: int(n) for day, n in ask(visitors)} == {day: len(some) for day, some in seen.items()}
    version = ask("SELECT version()")[0][0]
    print(f"ClickHouse {version}: {len(rows)} rows from {len(lines)} lines, and every query counts them right")


if __name__ == "__main__":
    main(*sys.argv[1:])
