"""What becomes of log lines on their way through compose/elk: Filebeat's inputs and Logstash's pipeline, followed by their documented rules.

Neither program can be had here. The pipeline is read by Logstash's grammar (logstash-core, grammar.treetop), and by an independent parser; sections,
plugins and settings that are not listed here are errors. Dissections, dates and the order of mutations are those of the plugins' documentation for 8.15.

usage: pipeline.py FILE, which holds a list of {"path": PATH, "line": LINE} and {"syslog": LINE}

Prints {"documents": [...], "alerts": [...]}: what goes to Elasticsearch, and what is posted to Alertmanager.
"""

import copy
import datetime
import fnmatch
import json
import pathlib
import re
import sys

from logstash_pipeline_parser import Pipeline
from ruamel.yaml import YAML

ELK = pathlib.Path(__file__).parents[2] / "compose/elk"

# --- Logstash's grammar ---

TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*\n) | (?P<string>"(?:\\"|[^"])*"|'(?:\\'|[^'])*') | (?P<regexp>(?<==~\s)/(?:\\/|[^/])*/|(?<=!~\s)/(?:\\/|[^/])*/)
    | (?P<operator>=>|==|!=|<=|>=|=~|!~|[<>{}\[\]()!,]) | (?P<number>-?[0-9]+(?:\.[0-9]*)?) | (?P<word>[A-Za-z0-9_-]+)""",
    re.VERBOSE,
)


class Parser:
    def __init__(self, text):
        self.tokens, at = [], 0
        while at < len(text):
            found = TOKEN.match(text, at)
            if not found:
                raise SyntaxError(f"at {text[at:at + 40]!r}")
            if found.lastgroup != "space":
                self.tokens.append((found.lastgroup, found.group()))
            at = found.end()
        self.tokens.append(("end", ""))

    def peek(self, text):
        return self.tokens[0][1] == text

    def take(self, text=None, kind=None):
        found = self.tokens.pop(0)
        if (text is not None and found[1] != text) or (kind is not None and found[0] not in kind):
            raise SyntaxError(f"{found[1]!r} instead of {text or kind}, before {[t for _, t in self.tokens[:8]]}")
        return found[1]

    def config(self):
        sections = []
        while not self.peek(""):
            name = self.take(kind=("word",))
            if name not in ("input", "filter", "output"):
                raise SyntaxError(f"no section: {name}")
            sections.append((name, self.block()))
        return sections

    def block(self):
        self.take("{")
        found = []
        while not self.peek("}"):
            found.append(self.branch() if self.peek("if") else self.plugin())
        self.take("}")
        return found

    def branch(self):
        self.take("if")
        arms = [(self.condition(), self.block())]
        while self.peek("else"):
            self.take("else")
            if self.peek("if"):
                self.take("if")
                arms.append((self.condition(), self.block()))
            else:
                arms.append((("always",), self.block()))
                break
        return ("branch", arms)

    def plugin(self):
        name, settings = self.take(kind=("word",)), {}
        self.take("{")
        while not self.peek("}"):
            key = self.name()
            self.take("=>")
            if key in settings:
                raise SyntaxError(f"{name}: {key} twice")
            settings[key] = self.value()
        self.take("}")
        return ("plugin", name, settings)

    def name(self):
        return self.string() if self.tokens[0][0] == "string" else self.take(kind=("word",))

    def string(self):
        # Escapes are not processed (config.support_escapes is off).
        return self.take(kind=("string",))[1:-1]

    def value(self):
        kind, text = self.tokens[0]
        if kind == "string":
            return self.string()
        if kind == "number":
            return json.loads(self.take())
        if kind == "word":
            return {"true": True, "false": False}.get(self.take(), text)
        if self.peek("["):
            self.take("[")
            found = []
            while not self.peek("]"):
                if found:
                    self.take(",")
                found.append(self.value())
            self.take("]")
            return found
        self.take("{")
        found = {}
        while not self.peek("}"):
            key = self.value()
            self.take("=>")
            found[key] = self.value()
        self.take("}")
        return found

    def condition(self):
        found = self.expression()
        while self.tokens[0][1] in ("and", "or"):
            found = (self.take(), found, self.expression())
        return found

    def expression(self):
        if self.peek("("):
            self.take("(")
            found = self.condition()
            self.take(")")
            return found
        if self.peek("!"):
            self.take("!")
            return ("not", self.expression())
        left = self.operand()
        if self.tokens[0][1] in ("=~", "!~"):
            return (self.take(), left, self.take(kind=("regexp",))[1:-1].replace("\\/", "/"))
        if self.tokens[0][1] in ("==", "!=", "in"):
            return (self.take(), left, self.operand())
        return ("present", left)

    def operand(self):
        if self.tokens[0][0] == "string":
            return ("string", self.string())
        parts = []
        while self.peek("["):
            self.take("[")
            if self.peek("@"):
                self.take()
            parts.append(self.take(kind=("word",)))
            self.take("]")
        if not parts:
            raise SyntaxError(f"no operand: {self.tokens[0]}")
        return ("field", "".join(f"[{p}]" for p in parts))


COMMON = {"id", "add_field", "remove_field"}
SETTINGS = {
    ("input", "beats"): {"port"},
    ("input", "tcp"): {"port", "type"},
    ("filter", "mutate"): COMMON | {"gsub", "replace"},
    ("filter", "dissect"): COMMON | {"mapping"},
    ("filter", "date"): COMMON | {"match"},
    ("output", "elasticsearch"): {"hosts", "data_stream", "data_stream_auto_routing"},
    ("output", "http"): {"url", "http_method", "format", "mapping", "retry_failed", "automatic_retries"},
}


def checked(section, statements):
    for statement in statements:
        if statement[0] == "branch":
            for _, block in statement[1]:
                checked(section, block)
        else:
            _, name, settings = statement
            unknown = set(settings) - SETTINGS[section, name]
            assert not unknown, f"{name} has no {unknown}"


# --- Events ---


def path_of(reference):
    return re.findall(r"\[([^\]]+)\]", reference) or [reference]


def get(event, reference):
    for part in path_of(reference):
        event = event.get(part) if isinstance(event, dict) else None
    return event


def put(event, reference, value):
    *parents, last = path_of(reference)
    for part in parents:
        event = event.setdefault(part, {})
    event[last] = value


def drop(event, reference):
    *parents, last = path_of(reference)
    for part in parents:
        event = event.get(part, {})
    event.pop(last, None)


def filled(text, event):
    """`%{[field]}` is the field's value, or stays when there is none."""
    return re.sub(r"%\{([^}]+)\}", lambda m: str(v) if (v := get(event, m[1])) is not None else m[0], text)


def holds(condition, event):
    kind, *rest = condition
    operand = lambda o: o[1] if o[0] == "string" else get(event, o[1])
    if kind == "always":
        return True
    if kind in ("and", "or"):
        left, right = (holds(c, event) for c in rest)
        return left and right if kind == "and" else left or right
    if kind == "not":
        return not holds(rest[0], event)
    if kind == "present":
        return bool(operand(rest[0])) or operand(rest[0]) == 0 or operand(rest[0]) == ""
    if kind in ("=~", "!~"):
        value = operand(rest[0])
        return (value is not None and re.search(rest[1], value) is not None) == (kind == "=~")
    left, right = operand(rest[0]), operand(rest[1])
    return left in (right or ()) if kind == "in" else (left == right) == (kind == "==")


def dissected(mapping, line):
    """Values by name, or None where a delimiter is missing."""
    first, *parts = re.split(r"%\{([^}]*)\}", mapping)
    if not line.startswith(first):
        return None
    found, rest = {}, line[len(first):]
    for name, literal in zip(parts[::2], parts[1::2]):
        if literal:
            value, delimiter, rest = rest.partition(literal)
            if not delimiter:
                return None
        else:
            value, rest = rest, ""
        if not name.startswith("?"):
            found[name] = value
    return found


FORMATS = {"dd/MMM/yyyy:HH:mm:ss Z": "%d/%b/%Y:%H:%M:%S %z", "yyyy/MM/dd HH:mm:ss": "%Y/%m/%d %H:%M:%S"}


def apply(name, settings, event):
    if name == "dissect":
        for field, mapping in settings["mapping"].items():
            values = dissected(mapping, get(event, field) or "")
            if values is None:
                event.setdefault("tags", []).append("_dissectfailure")
                return
            for key, value in values.items():
                put(event, key, value)
    elif name == "date":
        field, pattern = settings["match"]
        text = get(event, field)
        try:
            at = datetime.datetime.fromisoformat(text) if pattern == "ISO8601" else datetime.datetime.strptime(text, FORMATS[pattern])
        except (TypeError, ValueError):
            event.setdefault("tags", []).append("_dateparsefailure")
            return
        at = at if at.tzinfo else at.replace(tzinfo=datetime.timezone.utc)
        event["@timestamp"] = at.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    # In the order of the documentation, whatever that of the settings.
    for field, value in settings.get("replace", {}).items():
        put(event, field, filled(value, event))
    triples = settings.get("gsub", [])
    for field, pattern, replacement in zip(triples[::3], triples[1::3], triples[2::3]):
        if (value := get(event, field)) is not None:
            put(event, field, re.sub(pattern, replacement, value))
    for field, value in settings.get("add_field", {}).items():
        put(event, field, filled(value, event))
    for field in settings.get("remove_field", []):
        drop(event, field)


def run(statements, event, output=None):
    for statement in statements:
        if statement[0] == "branch":
            for condition, block in statement[1]:
                if holds(condition, event):
                    run(block, event, output)
                    break
        elif output is None:
            apply(statement[1], statement[2], event)
        else:
            output(statement[1], statement[2], event)


# --- Filebeat ---

# Of https://www.elastic.co/guide/en/beats/filebeat/8.15/filebeat-input-filestream.html and filebeat-reference-yml.html.
FILESTREAM = {"type", "id", "publisher_pipeline.disable_host", "paths", "parsers", "fields", "fields_under_root"}
NDJSON = {"target", "overwrite_keys", "expand_keys", "add_error_key"}
TOP = {"filebeat.inputs", "output.logstash", "setup.ilm.enabled", "setup.template.enabled", "logging.level"}


def expanded(fields):
    event = {}
    for name, value in fields.items():
        put(event, "".join(f"[{part}]" for part in name.split(".")), value)
    return event


def merge(into, other):
    for name, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


def shipped(inputs, path, line):
    """The event that Filebeat makes of a line."""
    (source,) = [i for i in inputs if any(fnmatch.fnmatch(path, pattern) for pattern in i["paths"])]
    event = {"@timestamp": "2026-01-01T00:00:00.000Z", "message": line, "log": {"file": {"path": path}, "offset": 0}, "input": {"type": "filestream"}}
    if source.get("fields_under_root"):
        merge(event, expanded(source["fields"]))
    if source.get("parsers"):
        merge(event, expanded(json.loads(line)))
    if not source.get("publisher_pipeline.disable_host"):
        event["host"] = {"name": "filebeat"}
    return event


def main():
    filebeat = YAML(typ="safe").load(ELK / "filebeat/filebeat.yml")
    assert set(filebeat) == TOP, set(filebeat) ^ TOP
    inputs = filebeat["filebeat.inputs"]
    assert len({i["id"] for i in inputs}) == len(inputs), "every filestream needs an id of its own"
    for source in inputs:
        assert source["type"] == "filestream" and set(source) <= FILESTREAM, source
        for parser in source.get("parsers", []):
            assert set(parser) == {"ndjson"} and set(parser["ndjson"]) == NDJSON, parser

    text = (ELK / "logstash/pipeline/rtmp-hmonitor.conf").read_text()
    sections = Parser(text).config()
    assert [name for name, _ in sections] == [name for name, _ in Pipeline(text).parse()] == ["input", "filter", "output"]
    for name, statements in sections:
        checked(name, statements)
    (_, sources), (_, filters), (_, outputs) = sections
    ports = {plugin: settings["port"] for _, plugin, settings in sources}
    assert filebeat["output.logstash"] == {"hosts": [f"logstash:{ports['beats']}"]}
    (syslog,) = [settings for _, plugin, settings in sources if plugin == "tcp"]

    documents, alerts = [], []

    def output(name, settings, event):
        if name == "elasticsearch":
            # Its metadata is not sent.
            documents.append({key: value for key, value in copy.deepcopy(event).items() if key != "@metadata"})
        else:
            fill = lambda v: {k: fill(x) for k, x in v.items()} if isinstance(v, dict) else filled(v, event)
            alerts.append({"url": settings["url"], "body": [fill(settings["mapping"])]})

    for line in json.loads(pathlib.Path(sys.argv[1]).read_text()):
        if "syslog" in line:
            event = {"@timestamp": "2026-01-01T00:00:00.000Z", "message": line["syslog"], "type": syslog["type"]}
        else:
            event = shipped(inputs, line["path"], line["line"])
        # Codecs do so in the compatibility mode v8.
        put(event, "[event][original]", event["message"])
        event["@version"] = "1"
        run(filters, event)
        run(outputs, event, output)
    json.dump({"documents": documents, "alerts": alerts}, sys.stdout)


main()
