"""Check the Kubernetes manifests of the documentation against custom resource definitions, as an API server would.

    git clone --depth 1 https://github.com/ray-project/kuberay
    python -m scripts.maintenance.check_manifests kuberay/helm-chart/kuberay-operator/crds

Each YAML block of docs/ with an `apiVersion` must be of a kind that a definition has, and have its fields with their
types and no other. Rules in CEL are not evaluated.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
Schema = dict[str, Any]
"""A JSON schema. Any: JSON."""

INT_OR_STRING: Schema = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
META: Schema = {
    "type": "object", "required": ["name"],
    "properties": {"name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}},
}  # fmt: skip
"""Of `metadata`, which a definition leaves to the API server; names are DNS subdomains (RFC 1123)."""


def manifests(folder: Path) -> Iterator[tuple[str, Any]]:  # Any: YAML
    """Yield the manifests in the pages of a folder, with the name of the page and the line of each."""
    for page in sorted(folder.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```yaml\n(.*?)^```", text, re.M | re.S):
            if "apiVersion:" in block[1]:
                line = text.count("\n", 0, block.start(1)) + 1
                yield from ((f"{page.name}:{line}", one) for one in yaml.safe_load_all(block[1]))


def definitions(folder: Path) -> dict[tuple[str, str], Schema]:
    """Return the schemas of the custom resource definitions in a folder, by apiVersion and kind."""
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        for page in yaml.load_all(
            path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        ):
            if page and page.get("kind") == "CustomResourceDefinition":
                spec = page["spec"]
                for version in spec["versions"]:
                    schema = strict(version["schema"]["openAPIV3Schema"])
                    schema["properties"]["metadata"] = META
                    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
                    found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return found


def strict(schema: Mapping[str, Any]) -> Schema:  # Any: a structural schema
    """Return a structural schema of Kubernetes as a JSON schema in which an object has no other fields.

    Source: Kubernetes, Extend the Kubernetes API with CustomResourceDefinitions, sections on structural schemas and
    field pruning.
    """
    if schema.get("x-kubernetes-int-or-string"):
        return {**INT_OR_STRING, **{k: v for k, v in schema.items() if k in ("pattern", "maxLength")}}
    kept = {
        k: v
        for k, v in schema.items()
        if not k.startswith("x-") and k not in ("nullable", "format", "default")
    }
    if "properties" in schema:
        kept["properties"] = {name: strict(member) for name, member in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            kept["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = strict(schema["additionalProperties"])
    if isinstance(schema.get("items"), dict):
        kept["items"] = strict(schema["items"])
    if schema.get("nullable") and isinstance(kept.get("type"), str):
        kept["type"] = [kept["type"], "null"]
    return kept


def faults(manifest: Any, schemas: Mapping[tuple[str, str], Schema]) -> list[str]:  # Any: YAML
    """Return what is wrong with a manifest, one line each: the field and the reason."""
    key = (manifest.get("apiVersion", ""), manifest.get("kind", ""))
    if key not in schemas:
        return [f"no definition of {' '.join(key)}"]
    errors = Draft202012Validator(schemas[key]).iter_errors(manifest)
    return sorted(
        f"{'.'.join(map(str, error.absolute_path)) or '-'}: {error.message[:200]}" for error in errors
    )


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Check the Kubernetes manifests of docs/.")
    parser.add_argument("crds", type=Path, help="folder of custom resource definitions")
    options = parser.parse_args()
    schemas = definitions(options.crds)
    wrong = 0
    for where, manifest in manifests(ROOT / "docs"):
        found = faults(manifest, schemas)
        wrong += bool(found)
        print(f"{where} {manifest.get('kind')}: {'; '.join(found) or 'valid'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
