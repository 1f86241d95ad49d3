"""Manifests against custom resource definitions: what an API server refuses is named, with the field."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from scripts.maintenance.check_manifests import definitions, faults, manifests
from tests.helpers.paths import ROOT

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  group: example.org
  names: {kind: Job}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec:
              type: object
              required: [entrypoint]
              properties:
                entrypoint: {type: string}
                retries: {type: integer, format: int32, minimum: 0}
                port: {x-kubernetes-int-or-string: true}
                until: {type: string, nullable: true}
                labels: {type: object, additionalProperties: {type: string}}
                free: {type: object, properties: {a: {type: string}}, x-kubernetes-preserve-unknown-fields: true}
                pods: {type: array, items: {type: object, properties: {image: {type: string}}}}
"""
JOB: dict[str, Any] = {
    "apiVersion": "example.org/v1", "kind": "Job", "metadata": {"name": "nightly"},
    "spec": {"entrypoint": "x", "retries": 1, "port": "http", "until": None, "labels": {"a": "b"}, "free": {"b": 1},
             "pods": [{"image": "i"}]},
}  # fmt: skip


@pytest.fixture
def schemas(tmp_path: Path) -> Any:
    """The definitions of a folder with one."""
    (tmp_path / "job.yaml").write_text(CRD)
    return definitions(tmp_path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"retires": 1}, "retires"), ({"retries": "1"}, "spec.retries"), ({"retries": -1}, "spec.retries"),
        ({"port": 1.5}, "spec.port"), ({"labels": {"a": 1}}, "spec.labels.a"), ({"pods": [{"img": "i"}]}, "img"),
        ({"entrypoint": None}, "spec.entrypoint"), ({"free": {"a": 1}}, "spec.free.a"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(schemas: Any, change: dict[str, Any], field: str) -> None:
    """An unknown field, another type, a number out of range, at any depth; the manifest without it is valid."""
    assert faults(JOB, schemas) == []
    page = copy.deepcopy(JOB)
    page["spec"] |= change
    (found,) = faults(page, schemas)
    assert field in found


def test_names_kinds_and_required_fields(schemas: Any) -> None:
    """A name that is no DNS subdomain, a kind without a definition, and a missing field."""
    assert faults(JOB | {"metadata": {"name": "Nightly_1"}}, schemas) != []
    assert faults(JOB | {"kind": "Jobs"}, schemas) == ["no definition of example.org/v1 Jobs"]
    assert "entrypoint" in faults(JOB | {"spec": {}}, schemas)[0]


def test_the_manifests_of_the_documentation_are_found() -> None:
    """Both pages with manifests, each with its line; anchors are resolved."""
    found = list(manifests(ROOT / "docs"))
    assert {(where.split(":")[0], page["kind"]) for where, page in found} == {
        ("cluster.md", "RayJob"), ("schedule.md", "RayCronJob")
    }  # fmt: skip
    for where, _ in found:
        page, line = where.split(":")
        shown = (ROOT / "docs" / page).read_text("utf-8").splitlines()[int(line) - 1 : int(line) + 2]
        assert any("apiVersion" in text for text in shown)
