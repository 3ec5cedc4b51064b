"""Generate the published contracts: a JSON Schema 2020-12 per event type and one AsyncAPI 3 document of the system.

``python -m contracts.schemas --write`` writes them to ``contracts/schemas``. ``--check`` fails if they are not
current, or if a released contract has changed in any way but growth: a new event type, a new optional field, or a new
value in a list of codes. Any other change requires a new major version, which is a new class with a new kind.

A contract is released by the first tag ``v...`` that contains its file; until then it may change freely. The released
version is read from Git's tags, not from the folder, so that editing or deleting a file does not hide a change.
"""

import argparse
import importlib
import io
import json
import pkgutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import contracts
from contracts.event import KINDS, Event
from contracts.examples import example_headers, examples
from contracts.flow import FLOW, PLANNED
from contracts.topics import DAY, TOPICS, UNIT, Topic

FOLDER = Path(__file__).with_name("schemas")
ASYNCAPI = "asyncapi.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = Mapping[str, Any]


def kinds() -> dict[str, type[Event]]:
    """Return every published event type by its kind. Planned events are not published."""
    for module in pkgutil.iter_modules(contracts.__path__):
        if module.name != "schemas":
            importlib.import_module(f"contracts.{module.name}")
    planned = {planned_flow.step.event for planned_flow in PLANNED}
    return {
        kind: event
        for kind, event in sorted(KINDS.items())
        if event.__module__.startswith("contracts.") and event not in planned
    }


def schema_of(event: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema of an event's value, with the docstrings of its fields as descriptions.

    Two keywords are added: ``x-topic``, the topic or topic family, and ``x-sensitivity``, the event's sensitivity.
    """
    return {
        "$schema": DIALECT,
        "$id": f"{event.kind}.json",
        "x-topic": event.topic,
        "x-sensitivity": event.sensitivity,
        **_markdown(event.model_json_schema(mode="validation")),
    }


def _markdown(schema: Any) -> Any:
    """Write the code in descriptions with single backticks, because descriptions are CommonMark."""
    if isinstance(schema, dict):
        return {
            key: " ".join(value.replace("``", "`").split())
            if key == "description" and isinstance(value, str)
            else _markdown(value)
            for key, value in schema.items()
        }
    return [_markdown(value) for value in schema] if isinstance(schema, list) else schema


# ---------------------------------------------------------------- compatibility

_COMPARED_ELSEWHERE = frozenset(
    {"title", "description", "examples", "$schema", "$id", "$defs", "properties", "required", "items"}
)
"""Keywords that do not affect validity, or that other functions compare."""


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """Return the changes from ``old`` to ``new`` that are not growth, each with the path of its field."""
    return list(dict.fromkeys(_incompatibilities(old, new, old, new, "", frozenset())))


def _incompatibilities(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, place: str, seen: frozenset[tuple[str, str]]
) -> Iterator[str]:
    refs = (str(old.get("$ref", "")), str(new.get("$ref", "")))
    if any(refs):
        if refs in seen:
            return
        seen |= {refs}
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    yield from _compare_keywords(old, new, old_root, new_root, place, seen)
    yield from _compare_fields(old, new, old_root, new_root, place, seen)
    if "items" in old or "items" in new:
        yield from _incompatibilities(
            old.get("items", {}), new.get("items", {}), old_root, new_root, f"{place}[]", seen
        )


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        referenced = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        schema = {**referenced, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _compare_keywords(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, place: str, seen: frozenset[tuple[str, str]]
) -> Iterator[str]:
    """Compare types, choices and limits. A wider one breaks consumers; a narrower one rejects published events.

    A list of codes may grow: units treat a code that they do not know as unknown (the departments' guide, part 2).
    """
    for word in sorted((set(old) | set(new)) - _COMPARED_ELSEWHERE):
        before, after = old.get(word), new.get(word)
        where = place or "the event"
        if isinstance(before, list) and isinstance(after, list) and word in ("anyOf", "oneOf", "allOf", "prefixItems"):
            if len(before) != len(after):
                yield f"{where}: {word} has {len(after)} choices, not {len(before)}"
                continue
            for old_choice, new_choice in zip(before, after, strict=True):
                yield from _incompatibilities(old_choice, new_choice, old_root, new_root, place, seen)
        elif isinstance(before, dict) and isinstance(after, dict):
            yield from _incompatibilities(before, after, old_root, new_root, f"{place}{{}}", seen)
        elif word == "enum" and before is not None and after is not None:
            for value in before:
                if value not in after:
                    yield f"{where}: {value!r} is gone from the choices"
        elif before != after:
            yield f"{where}: {word} is {_quoted(after)}, not {_quoted(before)}"


def _compare_fields(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, place: str, seen: frozenset[tuple[str, str]]
) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    must, must_now = set(old.get("required", ())), set(new.get("required", ()))
    for name in before:
        where = f"{place}.{name}" if place else name
        if name not in after:
            yield f"{where}: removed"
            continue
        if name in must and name not in must_now:
            yield f"{where}: may be missing now, and old consumers need it"
        if name in must_now and name not in must:
            yield f"{where}: required now, and published events lack it"
        yield from _incompatibilities(before[name], after[name], old_root, new_root, where, seen)
    for name in after:
        if name not in before and name in must_now:
            yield f"{place}.{name}: ".lstrip(".") + "new and required, and published events lack it"


def _quoted(value: object) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False)


# ---------------------------------------------------------------- AsyncAPI


def asyncapi() -> dict[str, Any]:
    """Return the system as an AsyncAPI 3 document. Channels are topics; operations are what each principal may do."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hutong 护童",
            "version": "1",
            "description": (
                "Events are CloudEvents 1.0 in Kafka's binary mode: payloads are record values, envelopes are `ce_*` "
                "headers. Payload schemas have two keywords of their own: `x-topic`, the topic or topic family, and "
                "`x-sensitivity`, one of `normal`, `restricted` and `identity`. `{unit}` is the id of a unit."
            ),
        },
        "servers": {"kafka": _SERVER},
        "defaultContentType": "application/json",
        "channels": {_channel_id(topic): _channel(topic) for topic in TOPICS},
        "operations": dict(_operations()),
        "components": {
            "messages": {kind: _message(event, examples()[kind]) for kind, event in kinds().items()},
            "schemas": {"envelope": _ENVELOPE},
            "securitySchemes": {_SCRAM: {"type": "scramSha512", "description": "One user for each principal."}},
        },
    }


_SCRAM = "scram"
_SERVER: dict[str, Any] = {
    "host": "{bootstrap}",
    "protocol": "kafka",
    "description": "The county's Kafka. Every client logs in, and the access lists follow `contracts/topics.py`.",
    "variables": {
        "bootstrap": {
            "default": "127.0.0.1:9092",
            "description": "Host and port of a broker, as in the setting `HUTONG_KAFKA` of the services.",
        }
    },
    "security": [{"$ref": f"#/components/securitySchemes/{_SCRAM}"}],
}
_ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["ce_id", "ce_source", "ce_type", "ce_specversion"],
    "properties": {
        "ce_id": {
            "type": "string",
            "format": "uuid",
            "description": "The event's id; the same when a message is sent again.",
        },
        "ce_source": {"type": "string", "description": "The producer."},
        "ce_type": {"type": "string", "description": "The name of the message."},
        "ce_specversion": {"const": "1.0"},
        "ce_time": {
            "type": "string",
            "format": "date-time",
            "description": "When the county learned of it (RFC 3339).",
        },
        "ce_partitionkey": {"type": "string", "description": "The record's key."},
        "ce_county": {"type": "string", "pattern": r"^\d{6}$", "description": "The county's division code."},
        "ce_correlationid": {
            "type": "string",
            "format": "uuid",
            "description": "The id of the first event in this chain of causes.",
        },
        "ce_causationid": {
            "type": "string",
            "format": "uuid",
            "description": "The id of the event that caused this one.",
        },
        "ce_sensitivity": {"enum": ["normal", "restricted", "identity"]},
        "ce_producerid": {
            "type": "string",
            "description": "The producer's input partition.",
        },
        "ce_sequence": {
            "type": "string",
            "description": "Counts without gaps per ce_source, ce_producerid and output partition.",
        },
    },
}


def _channel_id(topic: Topic) -> str:
    return topic.name.replace(UNIT + ".", "")


def _channel(topic: Topic) -> dict[str, Any]:
    settings: dict[str, Any] = {"cleanup.policy": ["compact" if topic.compacted else "delete"]}
    if not topic.compacted:
        settings["retention.ms"] = topic.retention_days * DAY
    channel: dict[str, Any] = {
        "address": topic.name,
        "description": f"Key: {topic.key}. Records of one key stay in order. Sensitivity: {topic.sensitivity}.",
        "messages": {
            step.event.kind: {"$ref": f"#/components/messages/{step.event.kind}"}
            for step in FLOW
            if topic in step.topics
        },
        "bindings": {"kafka": {"topicConfiguration": settings, "bindingVersion": "0.5.0"}},
    }
    if topic.partitions == "one":
        channel["bindings"]["kafka"]["partitions"] = 1
    if topic.family != "none":
        channel["parameters"] = {"unit": {"description": "The id of a unit of the county.", "examples": ["341722-jtj"]}}
    return channel


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    messages_of: dict[tuple[str, str, str], list[str]] = {}
    for step in FLOW:
        for topic in step.topics:
            for action, names, allowed in (
                ("send", step.producers, topic.writers),
                ("receive", step.consumers, topic.readers),
            ):
                for name in names:
                    if name in allowed:
                        messages_of.setdefault((name, action, _channel_id(topic)), []).append(step.event.kind)
    for (name, action, channel), messages in sorted(messages_of.items()):
        who = name.replace(UNIT, "unit")
        yield (
            f"{who}.{action}.{channel}",
            {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "title": f"{who} {'emits' if action == 'send' else 'consumes'}",
                "messages": [{"$ref": f"#/channels/{channel}/messages/{kind}"} for kind in messages],
            },
        )


def _message(event: type[Event], example: Event) -> dict[str, Any]:
    return {
        "name": event.kind,
        "title": event.__name__,
        "summary": (event.__doc__ or "").strip().partition("\n")[0],
        "contentType": "application/json",
        "bindings": {"kafka": {"key": {"type": "string", "description": _key(event)}, "bindingVersion": "0.5.0"}},
        "headers": {"$ref": "#/components/schemas/envelope"},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{event.kind}.json"},
        },
        "examples": [
            {
                "headers": example_headers(example),
                "payload": example.model_dump(mode="json", exclude_defaults=True),
            }
        ],
    }


def _key(event: type[Event]) -> str:
    """Describe the record key."""
    if event.broadcast or event.topic == "{any}":
        return "It has no meaning: the event is emitted on every partition."
    [step] = [step for step in FLOW if step.event is event]
    return f"The {step.topics[0].key}."


# ---------------------------------------------------------------- the folder


def files() -> dict[str, str]:
    """Return the generated files: name -> text."""
    documents = {f"{kind}.json": schema_of(event) for kind, event in kinds().items()}
    return {name: _text(document) for name, document in {**documents, ASYNCAPI: asyncapi()}.items()}


def _text(document: Schema) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def incompatible_changes(folder: Path = FOLDER) -> list[str]:
    """Return the changes that are not growth of a release. Each is listed once, with the first release it breaks."""
    changes: dict[str, str] = {}
    for release in releases(folder):
        for problem in _incompatible_with(published_in(release, folder)):
            changes.setdefault(problem, f"{problem} (since {release})")
    return list(changes.values())


def _incompatible_with(published: Mapping[str, str]) -> list[str]:
    current = kinds()
    changes: list[str] = []
    for kind, text in published.items():
        if f"{kind}.json" == ASYNCAPI:
            continue
        event = current.get(kind)
        if event is None:
            changes.append(f"{kind}: was published and is gone")
            continue
        changes += [f"{kind}: {problem}" for problem in incompatibilities(json.loads(text), schema_of(event))]
    return changes


def releases(folder: Path = FOLDER) -> list[str]:
    """Return the release tags of the folder's repository; none without Git."""
    return (_git(folder, "tag", "--list", "v*") or b"").decode().split()


def published_in(release: str, folder: Path = FOLDER) -> dict[str, str]:
    """Return the schemas of a release: kind -> text. It is empty if the release has none."""
    archive = _git(folder, "archive", release, ".")
    if not archive:
        return {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
        members = {Path(member.name): tree.extractfile(member) for member in tree if member.isfile()}
        return {name.stem: file.read().decode() for name, file in members.items() if file and name.suffix == ".json"}


def _git(folder: Path, *words: str) -> bytes | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def stale(folder: Path = FOLDER) -> list[str]:
    """Return the names of files that are missing, differ, or belong to no published event."""
    wanted = files()
    outdated = [
        name
        for name, text in wanted.items()
        if not (folder / name).exists() or (folder / name).read_text("utf-8") != text
    ]
    return outdated + sorted(file.name for file in folder.glob("*.json") if file.name not in wanted)


def write(folder: Path = FOLDER) -> list[str]:
    """Write the files that are not current, delete those that belong to no event, and return the names of both."""
    folder.mkdir(exist_ok=True)
    wanted = files()
    names = stale(folder)
    for name in names:
        if name in wanted:
            (folder / name).write_text(wanted[name], "utf-8")
        else:
            (folder / name).unlink()
    return names


def main(arguments: list[str] | None = None) -> int:
    """Check or write the published schemas; return 1 if they are not current or if a change is not growth."""
    parser = argparse.ArgumentParser(prog="python -m contracts.schemas", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="fail if not current, or if anything but growth changed")
    what.add_argument("--write", action="store_true", help="write them (the default) unless a change is not growth")
    options = parser.parse_args(arguments)
    problems = incompatible_changes()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print("This is not growth: add a new class with the next major version, and keep the old one.", file=sys.stderr)
        return 1
    names = stale() if options.check else write()
    for name in names:
        print(f"{name}: {'not current, run `make schemas`' if options.check else 'written'}", file=sys.stderr)
    return 1 if options.check and names else 0


if __name__ == "__main__":
    sys.exit(main())
