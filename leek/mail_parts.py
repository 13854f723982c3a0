"""Parts of MIME messages <-> values: of the classes of Python's `email`, of either generation.

A part is not taken apart by its text, which would not give the same part back::

    {"policy": "compat32", "headers": [["Content-Type", "image/png"], ...],
     "attributes": {"_payload": "iVBORw0KGgo...", ...}}

A header that is more than its text, as those of `email.policy.default` are, is {"@header": text}.
"""

import email.policy
from collections.abc import Mapping
from email.message import Message
from typing import Any

_POLICIES = ("compat32", "default", "SMTP", "SMTPUTF8", "HTTP", "strict")
_HEADER = "@header"


def values_of_part(part: Message) -> dict[str, Any] | None:
    """Return a part as values, its attributes as they are; None where that would not be exact."""
    attributes: dict[str, Any] = dict(vars(part))
    policy, headers = attributes.pop("policy"), attributes.pop("_headers")
    attributes.pop("defects")  # found by whoever has parsed it; they are no part of what is sent
    stored = [[name, _stored(policy, name, value)] for name, value in headers]
    policy_name = _name_of(policy)
    if policy_name is None or any(value is None for _, value in stored):
        return None
    return {"policy": policy_name, "headers": stored, "attributes": attributes}


def part_of(kind: type[Message], values: Mapping[str, Any]) -> Message:
    """Return the part of a class that `values_of_part` made these values of."""
    policy = getattr(email.policy, values["policy"])
    part = object.__new__(kind)
    headers = [(name, _restored(policy, name, value)) for name, value in values["headers"]]
    vars(part).update(values["attributes"], policy=policy, _headers=headers, defects=[])
    return part


def _name_of(policy: Any) -> str | None:
    """Return by which name `email.policy` has a policy, or its equal; None if by none."""
    for name in _POLICIES:
        known = getattr(email.policy, name)
        if type(policy) is type(known) and _values_of(policy) == _values_of(known):
            return name
    return None


def _values_of(policy: Any) -> dict[str, Any]:
    """Return what a policy says; each copy has a factory of its own for headers."""
    return {
        name: type(value) if name == "header_factory" else value
        for name, value in vars(policy).items()
    }


def _stored(policy: Any, name: str, value: Any) -> Any:
    """Return a header's value; None where it would not come out the same."""
    if type(value) is str:
        return value
    if not isinstance(value, str):  # email.header.Header
        return None
    text = str.__str__(value)
    again = policy.header_store_parse(name, text)[1]
    is_same = type(again).__mro__[1:] == type(value).__mro__[1:] and _folded(again) == _folded(
        value
    )
    return {_HEADER: text} if is_same else None


def _restored(policy: Any, name: str, value: Any) -> Any:
    if type(value) is str:
        return value
    return policy.header_store_parse(name, value[_HEADER])[1]


def _folded(value: Any) -> str:
    """Return what a header is sent as."""
    return str(value.fold(policy=email.policy.SMTP))
