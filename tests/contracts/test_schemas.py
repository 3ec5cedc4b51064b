"""A published schema may change in compatible ways only."""

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from contracts import schemas
from contracts.clock import DayBegan
from contracts.county import CountyActivated
from contracts.event import KINDS, Envelope, Event
from contracts.examples import examples
from contracts.notify import Notice
from contracts.schemas import files, incompatibilities, kinds, schema_of
from runtime.kafka import security
from runtime.settings import Settings
from tests.county import a_county
from tests.notify.events import every_event


class Part(BaseModel):
    name: str
    note: str | None = None


class Before(BaseModel):
    """The published version of an event."""

    key: str = Field(pattern="^[a-z]+$")
    level: Literal["L0", "L1"]
    count: int = 0
    part: Part
    parts: tuple[Part, ...] = ()
    words: dict[str, int] = {}
    maybe: str | None = None


BEFORE = Before.model_json_schema()


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the schema with the value at one path changed (None removes it)."""
    schema: dict[str, Any] = copy.deepcopy(BEFORE)
    *parents, last = path.split("/")
    node = schema
    for step in parents:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return schema


def test_an_unchanged_schema_is_growth() -> None:
    assert incompatibilities(BEFORE, BEFORE) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/extra", {"type": "string", "default": ""}),
        ("$defs/Part/properties/extra", {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}),
        ("properties/level/enum", ["L0", "L1", "L2"]),
        ("properties/count/description", "How many."),
        ("title", "Renamed"),
    ],
)
def test_a_new_optional_field_and_a_new_code_are_growth(path: str, value: Any) -> None:
    assert incompatibilities(BEFORE, changed(path, value)) == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("properties/count", None, "count: removed"),
        ("$defs/Part/properties/note", None, "part.note: removed"),
        ("required", ["key", "level", "part", "count"], "count: required now"),
        ("required", ["key", "level"], "part: may be missing now"),
        ("$defs/Part/required", [], "part.name: may be missing now"),
        ("properties/count/type", "string", 'count: type is "string"'),
        ("properties/count/default", 1, "count: default is 1"),
        ("properties/key/pattern", "^[a-z]{1,9}$", "key: pattern"),
        ("properties/key/maxLength", 9, "key: maxLength is 9, not absent"),
        ("properties/key/pattern", None, "key: pattern is absent"),
        ("properties/level/enum", ["L0"], "level: 'L1' is gone"),
        ("properties/maybe/anyOf", [{"type": "string"}], "maybe: anyOf has 1 choices, not 2"),
        ("properties/maybe/anyOf", [{"type": "integer"}, {"type": "null"}], 'maybe: type is "integer"'),
        ("properties/words/additionalProperties/type", "string", 'words{}: type is "string"'),
        ("properties/parts/items", {"type": "string"}, "parts[]: type"),
        ("properties/part", {"type": "string"}, "part: type"),
    ],
)
def test_any_other_change_is_reported_with_its_path(path: str, value: Any, message: str) -> None:
    assert [problem for problem in incompatibilities(BEFORE, changed(path, value)) if problem.startswith(message)]


def test_a_new_required_field_is_not_growth() -> None:
    after = changed("properties/extra", {"type": "string"})
    after["required"] = [*after["required"], "extra"]
    assert incompatibilities(BEFORE, after) == ["extra: new and required, and published events lack it"]


def test_a_schema_that_contains_itself_can_be_compared() -> None:
    class Tree(BaseModel):
        branches: tuple["Tree", ...] = ()
        leaf: str

    class Bare(BaseModel):
        branches: tuple["Bare", ...] = ()

    before, after = Tree.model_json_schema(), Bare.model_json_schema()
    assert incompatibilities(before, before) == []
    assert "leaf: removed" in incompatibilities(before, after)


# ---------------------------------------------------------------- every change, of every event


def mutants(schema: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every change of a schema at one path other than growth: the path and the changed schema."""
    if not isinstance(schema, dict):
        return
    if "properties" in schema:
        yield from mutants_of_fields(schema, path)
    for word in ("pattern", "format", "const", "x-topic", "x-sensitivity"):
        if word in schema:
            yield f"{path}/{word} other", schema | {word: "other"}
            yield f"{path}/{word} gone", without(schema, word)
    for word in ("minimum", "maximum", "maxLength"):
        if word in schema:
            yield f"{path}/{word} narrower", schema | {word: schema[word] + (1 if word == "minimum" else -1)}
    if "enum" in schema:
        yield f"{path}/enum narrower", schema | {"enum": schema["enum"][1:]}
        yield f"{path}/enum of another value", schema | {"enum": [*schema["enum"][1:], "new"]}
    if isinstance(schema.get("type"), str):
        yield f"{path}/type", schema | {"type": "boolean" if schema["type"] != "boolean" else "string"}
    if schema.get("type") == "string":
        yield f"{path}/shorter", schema | {"maxLength": schema.get("maxLength", 99) - 1}
        yield f"{path}/a pattern", schema | {"pattern": "^a$"}
    if "anyOf" in schema:
        yield f"{path}/anyOf", schema | {"anyOf": schema["anyOf"][1:]}
        for n, choice in enumerate(schema["anyOf"]):
            for location, changed_ in mutants(choice, f"{path}/anyOf/{n}"):
                yield (
                    location,
                    schema | {"anyOf": [changed_ if n == m else each for m, each in enumerate(schema["anyOf"])]},
                )
    for word in ("items", "additionalProperties"):
        for location, changed_ in mutants(schema.get(word), f"{path}/{word}"):
            yield location, schema | {word: changed_}
    for name, part in schema.get("$defs", {}).items():
        for location, changed_ in mutants(part, f"{path}/$defs/{name}"):
            yield location, schema | {"$defs": schema["$defs"] | {name: changed_}}


def mutants_of_fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    must, fields = schema.get("required", []), schema["properties"]
    yield f"{path}/a new field that is required", schema | {
        "properties": fields | {"new": {"type": "string"}}, "required": [*must, "new"],
    }  # fmt: skip
    for name, part in fields.items():
        kept = [each for each in must if each != name]
        yield f"{path}/{name} removed", schema | {"properties": without(fields, name), "required": kept}
        yield f"{path}/{name} optional or required", schema | {"required": kept if name in must else [*must, name]}
        for location, changed_ in mutants(part, f"{path}/{name}"):
            yield location, schema | {"properties": fields | {name: changed_}}


def without(schema: dict[str, Any], word: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != word}


@pytest.mark.parametrize("kind", kinds())
def test_no_incompatible_change_of_any_event_passes_as_growth(kind: str) -> None:
    published = json.loads((schemas.FOLDER / f"{kind}.json").read_text("utf-8"))
    tried = list(mutants(published))
    assert len(tried) > 5
    assert [location for location, changed_ in tried if not incompatibilities(published, changed_)] == []


@pytest.mark.parametrize("kind", kinds())
def test_a_field_that_may_be_missing_is_growth_of_any_event(kind: str) -> None:
    published = json.loads((schemas.FOLDER / f"{kind}.json").read_text("utf-8"))
    grown = published | {"properties": published["properties"] | {"new": {"type": "string", "default": ""}}}
    assert incompatibilities(published, grown) == []


# ---------------------------------------------------------------- the folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    schemas.write(tmp_path)
    return tmp_path


def test_the_published_schemas_match_the_contracts() -> None:
    assert schemas.incompatible_changes() == []
    assert schemas.stale() == []


def test_writing_twice_writes_nothing(folder: Path) -> None:
    assert schemas.write(folder) == []


def test_before_a_release_a_contract_may_change_and_vanish(folder: Path) -> None:
    (folder / "referral.Forgotten.v1.json").write_text("{}")
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "not released")
    assert schemas.incompatible_changes(folder) == []
    assert schemas.write(folder) == ["referral.Forgotten.v1.json"]
    assert not (folder / "referral.Forgotten.v1.json").exists()


def test_a_changed_contract_is_refused_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / f"{Notice.kind}.json"
    published = json.loads(file.read_text("utf-8"))
    published["properties"]["colour"] = {"type": "string"}
    file.write_text(json.dumps(published))
    release(folder, "v1.0.0")
    monkeypatch.setattr(schemas, "incompatible_changes", lambda: incompatible_changes(folder))
    monkeypatch.setattr(schemas, "write", lambda: pytest.fail("written"))
    assert schemas.main(["--write"]) == 1
    assert "notify.Notice.v1: colour: removed" in capsys.readouterr().err


incompatible_changes = schemas.incompatible_changes


def git(folder: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)


def release(folder: Path, *tags: str) -> None:
    for arguments in (("init",), ("add", "."), ("commit", "-m", "released"), *(("tag", tag) for tag in tags)):
        git(folder, *arguments)


def test_a_released_contract_stays_binding_when_its_file_is_removed(folder: Path) -> None:
    """After its files were edited, deleted or rewritten by hand, the folder alone cannot reveal a change."""
    file, removed = folder / f"{Notice.kind}.json", folder / "referral.Forgotten.v1.json"
    published = file.read_text("utf-8")
    once = json.loads(published)
    once["properties"]["colour"] = {"type": "string", "default": ""}
    file.write_text(json.dumps(once))
    removed.write_text("{}")
    release(folder, "v1.0.0")
    removed.unlink()
    file.write_text(published)
    git(folder, "commit", "-a", "-m", "by hand")
    assert schemas.stale(folder) == []
    assert schemas.incompatible_changes(folder) == [
        "notify.Notice.v1: colour: removed (since v1.0.0)",
        "referral.Forgotten.v1: was published and is gone (since v1.0.0)",
    ]


def test_a_change_is_reported_once_for_all_releases_it_breaks(folder: Path) -> None:
    for name in ("referral.Forgotten.v1", "referral.Lost.v1"):
        (folder / f"{name}.json").write_text("{}")
    release(folder, "v1.0.0", "v1.1.0")

    assert schemas.incompatible_changes(folder) == [
        "referral.Forgotten.v1: was published and is gone (since v1.0.0)",
        "referral.Lost.v1: was published and is gone (since v1.0.0)",
    ]


def test_no_contract_is_released_without_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert schemas.releases(folder) == []
    assert schemas.incompatible_changes(folder) == []


def test_a_folder_that_is_not_current_fails_the_check(folder: Path) -> None:
    (folder / "asyncapi.json").unlink()
    (folder / "clock.DayBegan.v1.json").unlink()
    assert schemas.stale(folder) == ["clock.DayBegan.v1.json", "asyncapi.json"]


def test_event_types_of_tests_are_not_published() -> None:
    class OfATest(Event):
        kind: ClassVar[str] = "test.OfATest.v1"
        topic: ClassVar[str] = "clock.v1"

    try:
        assert OfATest.kind not in kinds()
        assert "test.OfATest.v1.json" not in files()
    finally:
        del KINDS[OfATest.kind]


@pytest.mark.parametrize("kind", kinds())
def test_every_schema_is_valid_json_schema(kind: str) -> None:
    schema = schema_of(kinds()[kind])
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{kind}.json"


def test_events_as_they_are_published_are_valid() -> None:
    county = CountyActivated(county=a_county(), active_from=a_county().policy_effective_from, activated_by="x")
    for event in (*every_event(), county):
        schema = schema_of(type(event))
        jsonschema.validate(json.loads(event.model_dump_json()), schema, cls=jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({}, schema_of(DayBegan), cls=jsonschema.Draft202012Validator)


# ---------------------------------------------------------------- AsyncAPI


def test_the_document_is_asyncapi_3() -> None:
    from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

    document = schemas.asyncapi()
    # FastStream's model requires a path, which AsyncAPI leaves open.
    document["servers"] = {name: {**server, "pathname": ""} for name, server in document["servers"].items()}
    ApplicationSchema.model_validate(document)


def test_the_document_contains_only_keywords_of_asyncapi() -> None:
    """FastStream's model ignores unknown keywords; the specification does not allow them."""
    document = schemas.asyncapi()
    assert set(document) <= {
        "asyncapi",
        "id",
        "info",
        "servers",
        "defaultContentType",
        "channels",
        "operations",
        "components",
    }
    for server in document["servers"].values():
        assert set(server) <= {"host", "protocol", "description", "variables", "security"}
        assert set(re.findall(r"\{(\w+)\}", server["host"])) == set(server["variables"])
    for channel in document["channels"].values():
        assert set(channel) <= {"address", "description", "messages", "parameters", "bindings", "title", "summary"}
        assert set(channel["bindings"]["kafka"]) <= {
            "topic",
            "partitions",
            "replicas",
            "topicConfiguration",
            "bindingVersion",
        }
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        assert set(operation) <= {"action", "channel", "title", "summary", "description", "messages"}
        prefix = operation["channel"]["$ref"] + "/messages/"
        assert all(message["$ref"].startswith(prefix) for message in operation["messages"]), "of its own channel"
    for message in document["components"]["messages"].values():
        keywords = {"name", "title", "summary", "contentType", "bindings", "headers", "payload", "examples"}
        assert set(message) <= keywords
        assert set(message["bindings"]["kafka"]) == {"key", "bindingVersion"}
        assert set(message["payload"]) == {"schemaFormat", "schema"}


def test_every_reference_in_the_document_resolves() -> None:
    document = schemas.asyncapi()
    published = set(files())
    for reference in references(document):
        if reference.startswith("./"):
            assert reference.removeprefix("./") in published
            continue
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [ref for value in node.values() for ref in references(value)]
    if isinstance(node, list):
        return [ref for value in node for ref in references(value)]
    return []


def test_the_server_is_reached_and_authenticated_as_deployed() -> None:
    document = schemas.asyncapi()
    [server], schemes = document["servers"].values(), document["components"]["securitySchemes"]
    assert server["variables"]["bootstrap"]["default"] == Settings().kafka
    log_in = security(Settings(kafka_user="unit"))
    assert log_in is not None
    assert [server["security"][0]["$ref"].removeprefix("#/components/securitySchemes/")] == list(schemes)
    assert {scheme["type"] for scheme in schemes.values()} == {each["type"] for each in log_in.get_schema().values()}


@pytest.mark.parametrize("kind", kinds())
def test_the_example_of_a_message_is_valid(kind: str) -> None:
    """Payload and headers follow their schemas, and the payload is an event that a service accepts."""
    document = schemas.asyncapi()
    [example] = document["components"]["messages"][kind]["examples"]
    envelope = document["components"]["schemas"]["envelope"]
    for value, schema in ((example["payload"], schema_of(kinds()[kind])), (example["headers"], envelope)):
        jsonschema.validate(
            value, schema, cls=jsonschema.Draft202012Validator, format_checker=jsonschema.FormatChecker()
        )
    assert kinds()[kind].model_validate(example["payload"]) == examples()[kind]
    assert Envelope.read([(name, value.encode()) for name, value in example["headers"].items()], None).type == kind


def test_the_examples_name_nobody() -> None:
    """No number could be an ID number or a telephone number."""
    text = json.dumps([event.model_dump(mode="json") for event in examples().values()])
    assert not re.search(r"\d{17}[\dX]|1[3-9]\d{9}", text)


def test_the_document_has_the_operations_of_each_principal() -> None:
    operations = schemas.asyncapi()["operations"]
    assert operations["notify.send.notify.inbox.v1"]["action"] == "send"
    assert operations["unit-restricted.receive.referral.queue.restricted.v1"]["action"] == "receive"
    assert "unit.receive.referral.queue.restricted.v1" not in operations
