"""The Croissant description of a release: its files and the columns of its tables, as JSON-LD.

It depends on schemas and digests alone, so that the same release has the same description. Paths are relative to the
file itself. The files of a table are a FileSet given by a pattern, with digests in checksums.sha256; every other
file is listed with its digest.

Source: Croissant Format Specification, version 1.1, MLCommons 2026, and its RAI vocabulary.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.report import rai
from pipeline.report.hub import hub_languages
from pipeline.report.release_numbers import ReleaseNumbers

Json = dict[str, Any]
"""A JSON-LD node."""

CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", rai.CONFORMS_TO]

CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification requires, appendix 1."""

PARQUET = "application/x-parquet"

FORMATS = {
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "parquet": PARQUET,
    "yaml": "application/yaml",
}
"""Media type by file extension; token files are application/octet-stream."""

TABLES = {
    "data": "Every kept document once, in an order that is random but fixed; a folder for each language.",
    "ledger": "One row for every ingested document, kept or not, with the rule that dropped it.",
    "cot": "Worked solutions found in the documents, step by step.",
}
"""Descriptions of the tables of a release other than mixes."""


def croissant(
    report: ReleaseNumbers,
    files: Sequence[Mapping[str, Any]],
    schemas: Mapping[str, pa.Schema],
    meanings: Mapping[str, str],
) -> str:
    """Return the text of croissant.json.

    Args: report, files and schemas, as in `pipeline.report.release_pages.pages`; meanings, of each column.
    Raises: TypeError if a column has a type that Croissant cannot express.
    """
    counts = report.counts
    sets = {folder: is_set(folder) for folder in schemas}
    licenses = [row.license for row in report.licenses if row.license]
    dataset: Json = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": report.name,
        "description": (
            f"{counts.kept:,} documents, {counts.kept_tokens:,} tokens, kept of {counts.ingested:,} documents "
            f"of the corpus {report.corpus}. Built with bicorpus {report.version}; recipe {report.recipe}."
        ),
        "inLanguage": hub_languages(name for name, row in report.funnel.items() if row.get("kept")),
        "isLiveDataset": False,
        "keywords": ["text", "language modelling", "pretraining corpus"],
        "distribution": [file_set(folder) for folder in sets if sets[folder]]
        + [file_object(file) for file in files if not in_a_set(file["path"], sets)],
        "recordSet": [record_set(folder, schema, meanings) for folder, schema in schemas.items()],
    }
    dataset |= rai.rai_fields(report)
    if licenses:
        dataset["license"] = licenses
    return json.dumps(dataset, indent=1, ensure_ascii=False) + "\n"


def is_set(folder: str) -> bool:
    """Return whether a table is a folder of files rather than a single file."""
    return not folder.endswith(".parquet")


def in_a_set(path: str, sets: Mapping[str, bool]) -> bool:
    """Return whether a file belongs to one of the tables that are folders."""
    folder, _, name = path.rpartition("/")
    is_part = name.startswith("part-") and name.endswith(".parquet")
    return is_part and sets.get("data" if folder.startswith("data/") else folder, False)


def pattern(folder: str) -> str:
    """Return the glob pattern of the files of a table."""
    return "data/*/part-*.parquet" if folder == "data" else f"{folder}/part-*.parquet"


def file_set(folder: str) -> Json:
    """Return the FileSet of a table."""
    return {
        "@type": "cr:FileSet",
        "@id": node_id(f"{folder}/parts"),
        "name": f"{folder}/parts",
        "description": describe(folder),
        "encodingFormat": PARQUET,
        "includes": pattern(folder),
    }


def file_object(file: Mapping[str, Any]) -> Json:
    """Return the FileObject of a file, with size and digest."""
    path = file["path"]
    return {
        "@type": "cr:FileObject",
        "@id": node_id(path),
        "name": path,
        "contentUrl": path,
        "contentSize": f"{file['bytes']} B",
        "encodingFormat": FORMATS.get(path.rpartition(".")[2], "application/octet-stream"),
        "sha256": file["sha256"],
    }


def node_id(name: str) -> str:
    """Return the id of a file, table or column: loaders accept no white space in ids, not even escaped."""
    return re.sub(r"\s+", "_", name)


def describe(folder: str) -> str:
    """Return the description of a table."""
    if folder.startswith("orders/"):
        mix = folder.removeprefix("orders/").removesuffix(".parquet")
        return f"Documents of the mix {mix} in training order, by part and row."
    if folder.startswith("mixes/"):
        return f"Documents of the mix {folder.split('/')[1]} in training order, with their text."
    return TABLES.get(folder, folder)


def record_set(folder: str, schema: pa.Schema, meanings: Mapping[str, str]) -> Json:
    """Return the RecordSet of a table, with its columns; ids are `table/column`.

    Raises: TypeError if a column has a type that Croissant cannot express.
    """
    name = folder.removesuffix(".parquet")
    kind, file = ("fileSet", f"{folder}/parts") if is_set(folder) else ("fileObject", folder)
    source = {kind: {"@id": node_id(file)}}
    fields = [column_field(name, column, source, meanings) for column in schema]
    record: Json = {
        "@type": "cr:RecordSet",
        "@id": node_id(name),
        "name": name,
        "description": describe(folder),
    }
    if folder in ("data", "ledger"):
        record["key"] = {"@id": f"{name}/doc_id"}
    return record | {"field": fields}


def column_field(table: str, column: pa.Field, source: Json, meanings: Mapping[str, str]) -> Json:
    """Return the Field of a column; the members of a struct are subfields, a list is a repeated field.

    Raises: TypeError if the column has a type that Croissant cannot express.
    """
    name, dtype = column.name, column.type
    field: Json = {"@type": "cr:Field", "@id": node_id(f"{table}/{name}"), "name": name}
    if name in meanings:
        field["description"] = meanings[name]
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        field["repeated"] = True
        dtype = dtype.value_type
    extract = source | {"extract": {"column": name}}
    if not pa.types.is_struct(dtype):
        return field | {"dataType": data_type(dtype, f"{table}/{name}"), "source": extract}
    field["subField"] = []
    for member in dtype:
        subfield: Json = {
            "@type": "cr:Field",
            "@id": node_id(f"{table}/{name}/{member.name}"),
            "name": member.name,
        }
        if f"{name}.{member.name}" in meanings:
            subfield["description"] = meanings[f"{name}.{member.name}"]
        subfield["dataType"] = data_type(member.type, subfield["@id"])
        subfield["source"] = extract | {"transform": {"jsonPath": json_path(member.name)}}
        field["subField"].append(subfield)
    return field


def json_path(name: str) -> str:
    """Return the JSON path of a struct's member, quoted unless its name is an identifier."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else f"$['{name}']"


def data_type(dtype: pa.DataType, where: str) -> str:
    """Return the schema.org type of an Arrow type; `where` names the column in errors.

    Raises: TypeError if there is none.
    """
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype):
        return "sc:Text"
    if pa.types.is_boolean(dtype):
        return "sc:Boolean"
    if pa.types.is_integer(dtype):
        return "sc:Integer"
    if pa.types.is_floating(dtype):
        return "sc:Float"
    raise TypeError(
        f"{where}: Croissant has no data type for {dtype}; use strings, numbers, lists or structs"
    )
