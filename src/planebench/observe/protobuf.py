"""Watch events of built-in kinds in Kubernetes' protobuf form.

The API server spends a quarter as much on them as on JSON, and nothing where its other clients (the scheduler, the
controller manager) watch the same objects, for it encodes an event once per form. Custom resources and kinds
that are not listed here come as JSON.

The form (kubernetes.io/docs/reference/using-api/api-concepts, "Protobuf encoding"): frames with a four-byte
length, each a ``WatchEvent`` whose object is ``k8s\\0`` and an ``Unknown`` around the object itself. The field
numbers are those of k8s.io/api's and k8s.io/apimachinery's ``generated.proto``, which never change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple, cast

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from planebench.kube.frames import FrameSplitter
from planebench.model import Resource
from planebench.observe.events import ERROR, EventError, Failure
from planebench.observe.milestones import Node, ObjectType, Step

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"

# --- the schema ------------------------------------------------------------------------------------------------

Fields = Mapping[str, tuple[int, Any]]
"""Name -> number and type: :data:`STRING`, :data:`TIME`, :data:`MAP`, fields, or a list with the items' fields."""

STRING: Final = "string"
TIME: Final = "time"
"""Only whether it is there can be read."""
MAP: Final = "map"
"""Of strings."""

_META: Final[Fields] = {
    "name": (1, STRING),
    "namespace": (3, STRING),
    "uid": (5, STRING),
    "resourceVersion": (6, STRING),
    "deletionTimestamp": (9, TIME),
    "labels": (11, MAP),
    "annotations": (12, MAP),
}
_CONDITION: Final[Fields] = {
    "type": (1, STRING),
    "status": (2, STRING),
    "reason": (5, STRING),
    "message": (6, STRING),
}
_TAINT: Final[Fields] = {"key": (1, STRING), "value": (2, STRING), "effect": (3, STRING)}

KINDS: Final[Mapping[tuple[str, str, str], Fields]] = {
    ("", "v1", "Pod"): {
        "metadata": (1, _META),
        "spec": (2, {"nodeName": (10, STRING)}),
        "status": (
            3,
            {"phase": (1, STRING), "conditions": (2, [_CONDITION]), "message": (3, STRING), "reason": (4, STRING)},
        ),
    },
    ("", "v1", "Node"): {
        "metadata": (1, _META),
        "spec": (2, {"taints": (5, [_TAINT])}),
        "status": (3, {"conditions": (4, [_CONDITION])}),
    },
    ("", "v1", "ConfigMap"): {"metadata": (1, _META)},
    ("coordination.k8s.io", "v1", "Lease"): {"metadata": (1, _META)},
}
"""Group, version and kind -> what may be read of it. Only fields that JSON leaves out when they are empty: the two
forms then tell the same, for protobuf does not know a field that is missing from an empty one."""


def _package() -> DescriptorPool:
    """The messages around every object."""
    file = FileDescriptorProto(name="planebench/k8s.proto", package="k8s", syntax="proto2")
    _message(file.message_type.add(name="RawExtension"), {"raw": (1, "bytes")})
    event = file.message_type.add(name="WatchEvent")
    _message(event, {"type": (1, STRING)})
    event.field.add(name="object", number=2, label=_OPTIONAL, type=_MESSAGE, type_name=".k8s.RawExtension")
    _message(file.message_type.add(name="Unknown"), {"raw": (2, "bytes")})
    _message(
        file.message_type.add(name="Status"), {"message": (3, STRING), "reason": (4, STRING), "code": (6, "int")}
    )
    pool = DescriptorPool()
    pool.Add(file)
    return pool


_OPTIONAL: Final = FieldDescriptorProto.LABEL_OPTIONAL
_REPEATED: Final = FieldDescriptorProto.LABEL_REPEATED
_MESSAGE: Final = FieldDescriptorProto.TYPE_MESSAGE
_SCALARS: Final[Mapping[str, Any]] = {
    STRING: FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int": FieldDescriptorProto.TYPE_INT32,
}


def _message(message: DescriptorProto, fields: Fields) -> None:
    for name, (number, kind) in fields.items():
        message.field.add(name=name, number=number, label=_OPTIONAL, type=_SCALARS[kind])


_PACKAGE: Final = _package()
_EVENT: Final[Any] = GetMessageClass(_PACKAGE.FindMessageTypeByName("k8s.WatchEvent"))
_UNKNOWN: Final[Any] = GetMessageClass(_PACKAGE.FindMessageTypeByName("k8s.Unknown"))
_STATUS: Final[Any] = GetMessageClass(_PACKAGE.FindMessageTypeByName("k8s.Status"))


def status(raw: bytes) -> Failure | None:
    """The Status that an answer's body is; None where it is something else."""
    if not raw.startswith(_MAGIC):
        return None
    try:
        found = _STATUS.FromString(_UNKNOWN.FromString(raw[len(_MAGIC) :]).raw)
    except DecodeError:
        return None
    return Failure(found.code, found.message, found.reason)


# --- events ----------------------------------------------------------------------------------------------------


class _Read(NamedTuple):
    """An event whose object has been read already: its values, in the order of the object type's positions."""

    type: str
    object: tuple[Any, ...]


class ProtobufEvents:
    """A length-delimited frame each. See :func:`events`."""

    media_type = MEDIA_TYPE
    accept = f"{MEDIA_TYPE};stream=watch, application/json"
    """JSON where a proxy or an aggregated server knows no other."""

    def __init__(self, message: Any, getters: tuple[Callable[[Any], Any], ...]) -> None:
        self._parse: Callable[[bytes], Any] = message.FromString
        self._getters = getters

    def splitter(self) -> FrameSplitter:
        return FrameSplitter()

    def decode(self, raw: bytes) -> _Read:
        try:
            event = _EVENT.FromString(raw)
            kind = event.type
            content = event.object.raw
            if kind == ERROR:
                return _Read(ERROR, ())
            if not content.startswith(_MAGIC):
                raise EventError("its object is not in Kubernetes' protobuf form")
            obj = self._parse(_UNKNOWN.FromString(content[4:]).raw)
            return _Read(kind, tuple([get(obj) for get in self._getters]))
        except DecodeError as error:
            raise EventError(str(error)) from None

    def failure(self, raw: bytes) -> Failure:
        return status(_EVENT.FromString(raw).object.raw) or Failure()


def events(resource: Resource, types: ObjectType) -> ProtobufEvents | None:
    """The protobuf form of a watch; None where the kind, or a field that is to be read, is not known here."""
    fields = KINDS.get((resource.group, resource.version, resource.kind))
    if fields is None:
        return None
    file = FileDescriptorProto(name="planebench/object.proto", package="watched", syntax="proto2")
    try:
        _declare(file, "Object", types.root, fields)
        getters = tuple(_getter(types.root, fields, steps) for steps in types.positions)
    except KeyError:
        return None
    pool = DescriptorPool()
    pool.Add(file)
    return ProtobufEvents(GetMessageClass(pool.FindMessageTypeByName("watched.Object")), getters)


def _declare(file: FileDescriptorProto, name: str, node: Node, fields: Fields) -> DescriptorProto:
    """The message of a map of fields, or of a list's item: no more of it than is read.

    Its fields are called as those of the object type's structs are, so that what picks an item of theirs picks one
    of these.

    Raises:
        KeyError: a field, or what is to be read of it, is not known.
    """
    message = file.message_type.add(name=name)
    for number, (key, child) in enumerate(node.fields.items()):
        tag, kind = fields[key]
        field = message.field.add(name=f"f{number}", number=tag, label=_OPTIONAL)
        inner = f"{name}_{number}"
        if kind in (STRING, TIME) and (child.fields or child.items is not None):
            raise KeyError(key)  # deeper than it is
        if kind == STRING:
            field.type = _SCALARS[STRING]
            continue
        field.type, field.type_name = _MESSAGE, f".watched.{inner}"
        if kind == TIME:
            file.message_type.add(name=inner)
        elif kind == MAP:
            if child.read or any(value.fields or value.items for value in child.fields.values()):
                raise KeyError(key)
            entry = f"F{number}Entry"  # as protobuf demands for the map of a field f1
            nested = message.nested_type.add(name=entry)
            nested.options.map_entry = True
            _message(nested, {"key": (1, STRING), "value": (2, STRING)})
            field.label, field.type_name = _REPEATED, f".watched.{name}.{entry}"
        elif isinstance(kind, list):
            field.label = _REPEATED
            if child.items is None:  # the whole list is read
                _message(file.message_type.add(name=inner), kind[0])
            else:
                _message(_declare(file, inner, child.items, kind[0]), {"type": kind[0]["type"]})
        else:
            _declare(file, inner, child, kind)
    return message


def _getter(root: Node, fields: Fields, steps: tuple[Step, ...]) -> Callable[[Any], Any]:
    """Takes the value at a field path, or the list that the path goes into.

    Raises:
        KeyError: it cannot be read from here.
    """
    node, kind, names = root, cast(Any, fields), list[str]()
    for step in steps:
        if kind is MAP:
            labels, key = attrgetter(".".join(names)), str(step)
            return lambda obj: labels(obj).get(key)
        if not isinstance(kind, Mapping):
            raise KeyError(step)
        names.append(f"f{list(node.fields).index(str(step))}")
        node, kind = node.fields[str(step)], kind[str(step)][1]
    get = attrgetter(".".join(names))
    if kind is STRING or (isinstance(kind, list) and node.items is not None):
        return get
    if kind is TIME:
        parent, name = attrgetter(".".join(names[:-1])), names[-1]
        return lambda obj: parent(obj).HasField(name) or None
    if isinstance(kind, list):
        keys = tuple(kind[0])
        return lambda obj: [{key: getattr(item, key) for key in keys} for item in get(obj)]
    raise KeyError(steps)
