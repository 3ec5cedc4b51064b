"""The published form of every event: JSON Schema 2020-12 a kind, and one AsyncAPI 3 document of the whole house.

``python -m contracts.schemas --write`` writes them to ``contracts/schemas``; ``--check`` fails when they are not
current, or when a contract that was released changed in any way but growth: a new kind, or a new field that may be
missing. Everything else is a new major version, that is a new class with a new kind.

A contract is released with the first tag ``v...`` that has its file; until then it may change freely. Git's tags are
asked, not the folder: a file that is edited or deleted by hand frees nobody from what was released.
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
from contracts.flow import FLOW, PLANNED
from contracts.topics import DAY, TOPICS, UNIT, Topic

FOLDER = Path(__file__).with_name("schemas")
ASYNCAPI = "asyncapi.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = Mapping[str, Any]


def kinds() -> dict[str, type[Event]]:
    """Every event that is published, by its kind: those of the contracts that are more than planned."""
    for module in pkgutil.iter_modules(contracts.__path__):
        if module.name != "schemas":
            importlib.import_module(f"contracts.{module.name}")
    planned = {one.step.event for one in PLANNED}
    return {
        kind: event
        for kind, event in sorted(KINDS.items())
        if event.__module__.startswith("contracts.") and event not in planned
    }


def schema_of(event: type[Event]) -> dict[str, Any]:
    """What a reader may expect of an event's value."""
    return {
        "$schema": DIALECT,
        "$id": f"{event.kind}.json",
        "x-topic": event.topic,
        "x-sensitivity": event.sensitivity,
        **event.model_json_schema(mode="validation"),
    }


# ---------------------------------------------------------------- only growth

_COMPARED_ELSEWHERE = frozenset(
    {"title", "description", "examples", "$schema", "$id", "$defs", "properties", "required", "items"}
)
"""Keywords that are compared in their own way, or say nothing about what is valid."""


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """What in ``new`` is not growth of ``old``; each with the place of the field."""
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
        found = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _compare_keywords(
    old: Schema, new: Schema, old_root: Schema, new_root: Schema, place: str, seen: frozenset[tuple[str, str]]
) -> Iterator[str]:
    """Types, choices and limits: wider breaks who reads, narrower breaks what was said."""
    for word in sorted((set(old) | set(new)) - _COMPARED_ELSEWHERE):
        before, after = old.get(word), new.get(word)
        where = place or "the event"
        if isinstance(before, list) and isinstance(after, list) and word in ("anyOf", "oneOf", "allOf", "prefixItems"):
            if len(before) != len(after):
                yield f"{where}: {word} has {len(after)} choices, not {len(before)}"
                continue
            for one, other in zip(before, after, strict=True):
                yield from _incompatibilities(one, other, old_root, new_root, place, seen)
        elif isinstance(before, dict) and isinstance(after, dict):
            yield from _incompatibilities(before, after, old_root, new_root, f"{place}{{}}", seen)
        elif word == "enum" and before is not None and after is not None:
            for value in before:
                if value not in after:
                    yield f"{where}: {value!r} is gone from the choices"
            for value in after:
                if value not in before:
                    yield f"{where}: {value!r} is new among the choices, and old readers do not know it"
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
            yield f"{where}: may be missing now, and old readers need it"
        if name in must_now and name not in must:
            yield f"{where}: required now, and events that were said lack it"
        yield from _incompatibilities(before[name], after[name], old_root, new_root, where, seen)
    for name in after:
        if name not in before and name in must_now:
            yield f"{place}.{name}: ".lstrip(".") + "new and required, and events that were said lack it"


def _quoted(value: object) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False)


# ---------------------------------------------------------------- AsyncAPI


def asyncapi() -> dict[str, Any]:
    """The house as an AsyncAPI 3 document: channels are topics, operations are who says and hears what."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hutong 护童",
            "version": "1",
            "description": "CloudEvents 1.0 in Kafka's binary mode: payloads are values, envelopes are ce_* headers.",
        },
        "defaultContentType": "application/json",
        "channels": {_channel_id(topic): _channel(topic) for topic in TOPICS},
        "operations": dict(_operations()),
        "components": {
            "messages": {kind: _message(event) for kind, event in kinds().items()},
            "schemas": {"envelope": _ENVELOPE},
        },
    }


_ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["ce_id", "ce_source", "ce_type", "ce_specversion"],
    "properties": {
        "ce_id": {"type": "string", "format": "uuid", "description": "The same when the same thing is sent again."},
        "ce_source": {"type": "string"},
        "ce_type": {"type": "string", "description": "The message's name."},
        "ce_specversion": {"const": "1.0"},
        "ce_time": {"type": "string", "format": "date-time", "description": "When the county learned of it."},
        "ce_partitionkey": {"type": "string"},
        "ce_county": {"type": "string", "pattern": r"^\d{6}$"},
        "ce_correlationid": {"type": "string", "format": "uuid", "description": "The first event of the story."},
        "ce_causationid": {"type": "string", "format": "uuid"},
        "ce_sensitivity": {"enum": ["normal", "restricted", "identity"]},
        "ce_producerid": {
            "type": "string",
            "description": "With ce_source and ce_sequence: the dense number of an event.",
        },
        "ce_sequence": {"type": "string"},
        "ce_traceparent": {"type": "string"},
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
        "description": f"In order by {topic.key}. Sensitivity: {topic.sensitivity}.",
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
        channel["parameters"] = {"unit": {"description": "A unit of the county.", "examples": ["341722-jtj"]}}
    return channel


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    said: dict[tuple[str, str, str], list[str]] = {}
    for step in FLOW:
        for topic in step.topics:
            for action, names, allowed in (
                ("send", step.producers, topic.writers),
                ("receive", step.consumers, topic.readers),
            ):
                for name in names:
                    if name in allowed:
                        said.setdefault((name, action, _channel_id(topic)), []).append(step.event.kind)
    for (name, action, channel), messages in sorted(said.items()):
        who = name.replace(UNIT, "unit")
        yield (
            f"{who}.{action}.{channel}",
            {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "title": f"{who} {'says' if action == 'send' else 'hears'}",
                "messages": [{"$ref": f"#/channels/{channel}/messages/{kind}"} for kind in messages],
            },
        )


def _message(event: type[Event]) -> dict[str, Any]:
    return {
        "name": event.kind,
        "title": event.__name__,
        "summary": (event.__doc__ or "").strip().partition("\n")[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/envelope"},
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{event.kind}.json"},
        },
    }


# ---------------------------------------------------------------- the folder


def files() -> dict[str, str]:
    """What the folder should hold: name -> text."""
    found = {f"{kind}.json": schema_of(event) for kind, event in kinds().items()}
    return {name: _text(document) for name, document in {**found, ASYNCAPI: asyncapi()}.items()}


def _text(document: Schema) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def incompatible_changes(folder: Path = FOLDER) -> list[str]:
    """Changes that are not growth of what was released; each once, however many releases it breaks."""
    found: dict[str, str] = {}
    for release in releases(folder):
        for problem in _incompatible_with(published_in(release, folder)):
            found.setdefault(problem, f"{problem} (since {release})")
    return list(found.values())


def _incompatible_with(published: Mapping[str, str]) -> list[str]:
    known = kinds()
    found: list[str] = []
    for kind, text in published.items():
        if f"{kind}.json" == ASYNCAPI:
            continue
        event = known.get(kind)
        if event is None:
            found.append(f"{kind}: was published and is gone")
            continue
        found += [f"{kind}: {problem}" for problem in incompatibilities(json.loads(text), schema_of(event))]
    return found


def releases(folder: Path = FOLDER) -> list[str]:
    """The tags of the folder's releases; none where there is no git."""
    return (_git(folder, "tag", "--list", "v*") or b"").decode().split()


def published_in(release: str, folder: Path = FOLDER) -> dict[str, str]:
    """The schemas of a release: kind -> text. Empty where it had none."""
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
    """Files that are missing, not as they should be, or of a kind that no longer exists."""
    wanted = files()
    found = [
        name
        for name, text in wanted.items()
        if not (folder / name).exists() or (folder / name).read_text("utf-8") != text
    ]
    return found + sorted(file.name for file in folder.glob("*.json") if file.name not in wanted)


def write(folder: Path = FOLDER) -> list[str]:
    """Write what is not current and delete what no longer exists; the names of both."""
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
    parser = argparse.ArgumentParser(prog="python -m contracts.schemas", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="fail if not current, or if anything but growth changed")
    what.add_argument("--write", action="store_true", help="write them anew (the default); refuses what is not growth")
    options = parser.parse_args(arguments)
    problems = incompatible_changes()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print("Not growth: make a new class with the next major version, and keep the old one.", file=sys.stderr)
        return 1
    names = stale() if options.check else write()
    for name in names:
        print(f"{name}: {'not current, run `make schemas`' if options.check else 'written'}", file=sys.stderr)
    return 1 if options.check and names else 0


if __name__ == "__main__":
    sys.exit(main())
