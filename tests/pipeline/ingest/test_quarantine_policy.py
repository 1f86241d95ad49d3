"""What the store keeps of quarantined records: their bytes, or the reason alone."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.helpers.build import build, cli, tiny, write_run

MAIL, PHONE = "canary.wang@example.org", "13900012345"


@pytest.mark.parametrize("policy", ["records", "reasons"])
def test_bytes_of_quarantined_records_are_kept_or_not(tmp_path: Path, policy: str) -> None:
    """A broken record with personal data: by policy in quarantine or nowhere in the store; counted in both cases."""
    rows = [{"id": str(i), "text": f"第 {i} 篇：湖边的老人每天清晨都来钓鱼。"} for i in range(40)]
    page = tiny(tmp_path, rows)
    page["ingest"] = {"quarantine": policy, "max_quarantined_share": 0.5}
    run_path, store = write_run(tmp_path, page), tmp_path / "store"
    (path,) = [file for file in tmp_path.rglob("*.jsonl")]
    broken = [json.dumps({"id": "x", "text": 7, "mail": MAIL}), f'{{"id": "y", "text": "打 {PHONE}', "{}"]
    path.write_text(path.read_text(encoding="utf-8") + "\n".join(broken) + "\n", encoding="utf-8")
    build(run_path, store)
    (quarantine,) = (store / "quarantine").rglob("*.parquet")
    found = pq.read_table(quarantine).to_pylist()
    assert [row["reason"] for row in found] == ["text_not_string", "invalid_json", "no_text"]
    decoded = repr(found)
    assert (MAIL in decoded and PHONE in decoded) == (policy == "records")
    if policy == "reasons":
        assert {(row["raw"], row["detail"]) for row in found} == {(None, None)}
    numbers = json.loads((store / "releases" / "tiny" / "report.json").read_text(encoding="utf-8"))
    assert sum(sum(reasons.values()) for reasons in numbers["quarantined"].values()) == 3
    told = cli("explain", run_path, "--input", f"{path.name}:40", "--store", store)
    assert "text_not_string" in told.out + told.err and "None" not in told.out + told.err
    assert MAIL not in told.out + told.err


def test_the_policy_is_one_of_two(tmp_path: Path) -> None:
    """Another word is refused with the two."""
    page = tiny(tmp_path, [{"id": "1", "text": "好"}])
    page["ingest"] = {"quarantine": "masked"}
    run_path = tmp_path / "run.yaml"
    run_path.write_text(yaml.safe_dump(page, allow_unicode=True), encoding="utf-8")
    refused = cli("plan", run_path, "--store", tmp_path / "store")
    assert refused.code == 2 and "expected records or reasons" in refused.err
