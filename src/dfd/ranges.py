"""docs/settings.md: what every setting of params.yaml may be, from the models that check it."""

from collections.abc import Iterator, Mapping

from dfd.core.settings import Settings
from dfd.decoder.settings import OPTIONS as DECODERS
from dfd.params import Params
from dfd.recognizers.settings import OPTIONS as RECOGNIZERS

HEAD = """# What every setting may be

Written by `dfd ranges > docs/settings.md`. What the settings mean stands beside them in [params.yaml](../params.yaml); names
(`<name>`) are of letters, digits, _ and -. What else must fit, one setting to another, is told when params.yaml is read.

| Setting | What it may be |
| --- | --- |
"""


def page() -> str:
    """The page, Markdown."""
    lines = [f"| `{key}` | {words} |\n" for key, words in rows(Params)]
    for where, architectures in (("decoder", DECODERS), ("recognizers.<name>", RECOGNIZERS)):
        for architecture, options in architectures.items():
            lines += [f"| `{where}.options` of {architecture}: `{key}` | {words} |\n" for key, words in rows(options)]
    return HEAD + "".join(lines)


def rows(settings: type[Settings]) -> Iterator[tuple[str, str]]:
    """(dotted key, what it may be) of everything in a section."""
    schema = settings.model_json_schema()
    for name, part in schema.get("properties", {}).items():
        yield from _rows(name, part, schema.get("$defs", {}))


def _rows(key: str, schema: Mapping, definitions: Mapping) -> Iterator[tuple[str, str]]:
    """The same of `key` or, where it is a section, of everything in it; definitions: what the schema's `$ref` name."""
    for part in schema.get("anyOf", [schema]):
        if "$ref" in part:
            yield from _rows(key, definitions[part["$ref"].split("/")[-1]], definitions)
            return
    inside = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), Mapping):
        names = schema.get("propertyNames", {}).get("enum", ["<name>"])
        inside[" / ".join(names)] = schema["additionalProperties"]
    if not inside:
        yield key, _words(schema) + (", or left out" if "default" in schema else "")
    for name, part in inside.items():
        yield from _rows(f"{key}.{name}", part, definitions)


def _words(schema: Mapping) -> str:
    if "anyOf" in schema:
        return " or ".join(_words(part) for part in schema["anyOf"] if part.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        fewest, most = schema.get("minItems", 0), schema.get("maxItems")
        return f"a list{f' of {most}' if most else ', not empty' if fewest else ''}: {_words(schema['items'])}"
    kind = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}
    words = [kind.get(schema.get("type"), "see params.yaml")]
    ends = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    words += [f"{word} {_number(schema[end])}" for end, word in ends.items() if end in schema]
    words += [f"divisible by {schema['multipleOf']}"] if "multipleOf" in schema else []
    words += [f"like `{schema['pattern']}`".replace("|", "\\|")] if "pattern" in schema else []
    return " ".join(words)


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"
