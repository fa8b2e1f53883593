"""Makes the calls that must be refused, or must do no harm, out of what lime.h declares and documents.

Every function is called with each pointer NULL, with each text that is not UTF-8, with lengths that cannot
be, and with numbers that mean nothing; all other arguments are good ones. So a function that is added to
the header is tested, and the makers here and in calls.c have to be told of a type that they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from c_header import Function, Header, Parameter

BAD = r'"\xc3\x28"'
# Good arguments, by the parameter's name; what is not here is not known, and an error.
TEXTS = {
    "text": '"2026-01-01T00:00:00Z"',
    "request_id": '"lr_nobody"',
    # A public name; LIME_MCP_ADDRESSES says where it is, and nobody listens there.
    "target": '"http://tools.example.com:1/mcp"',
    "hostname": '"tools.example.com"',
    "address": '"127.0.0.1"',
    "method": '"ping"',
    "params_json": '"{}"',
    "arguments_json": '"{}"',
}
BYTES = {"context_json": '"{}"', "jwks_json": '"{}"'}
NUMBERS = {
    "level": "LIME_LOG_INFO",
    "digest": "LIME_POW_DIGEST_SEED",
    "post_retry": "LIME_POST_RETRY_SEED",
    "platform": "LIME_PLATFORM_AUTO",
    "jwks_form": "LIME_JWKS_FORM_BARE",
    "required": "0",
    "force_refresh": "0",
    "serialized": "1",
    "require_issuer": "0",
    "wait_for_decision": "0",
    "keeps_time": "0",
    "skips_sleeps": "0",
    "http_status": "200",
    "status_number": "LIME_OK",
    "reach": "LIME_REACH_NOT_SENT",
    "now_unix_seconds": "1750000000",
    "unix_ms": "1750000000000",
    "jitter": "0.5",
    "index": "0",
    "header_count": "2",
    "count": "0",
    "failure_status": "LIME_ERROR_INVALID_TOKEN",
}
# The names that may be NULL wherever they are: the manual says so.
OPTIONAL = {"error", "user_data", "drop_user_data", "operation"}
# What a comment says of another one that may be NULL.
MAY_BE_NULL = re.compile(r"^NULL|may be NULL|or NULL|NULL (or|for|says|counts|goes|is) ")
# Takes any text: "unknown" or none is the answer, not an error.
WRONG_NUMBERS = ("-1", "999", "INT32_MIN", "INT32_MAX")
WRONG_DOUBLES = {"nan": "NAN", "infinite": "INFINITY", "negative": "-1"}
HUGE = {"max": "SIZE_MAX", "half": "SIZE_MAX / 2 + 1"}


@dataclass
class Case:
    """One call: the arguments that differ from the good ones, and what must come of it."""

    id: str
    function: Function
    instead: dict[str, str]
    refused: bool
    # What the error's message must contain.
    message: str = ""
    lines: list[str] = field(default_factory=list)


def may_be_null(header: Header, function: Function, parameter: Parameter) -> bool:
    if parameter.type == "const char *const *":
        return False  # what is in it may be
    about = function.about(parameter.name)
    if other := re.match(r"as (?:in )?(lime_\w+)\(\)", about):
        about = header.functions[other[1]].about(parameter.name)
    return parameter.name in OPTIONAL or bool(MAY_BE_NULL.search(about))


def bytes_of(function: Function) -> Iterator[tuple[Parameter, Parameter]]:
    """Each pointer to bytes, with its length."""
    for pointer, length in zip(function.parameters, function.parameters[1:], strict=False):
        if pointer.type == "const void *" and length.type == "size_t":
            yield pointer, length


def arrays_of(function: Function) -> Iterator[tuple[list[Parameter], Parameter]]:
    """Arrays of texts, with their count."""
    arrays = [p for p in function.parameters if p.type == "const char *const *"]
    if arrays:
        at = function.parameters.index(arrays[-1]) + 1
        yield arrays, function.parameters[at]


def good(header: Header, function: Function, parameter: Parameter) -> str:
    """An argument that is all right."""
    if parameter.handle:
        return f"live.{parameter.handle}"
    match parameter.type:
        case "const char *":
            return TEXTS.get(parameter.name, '"x"')
        case "const void *":
            return BYTES.get(parameter.name, '"x"')
        case "const char *const *":
            return "texts"
        case "void *":
            return "call.user_data"
        case "lime_drop_user_data":
            return "drop_call"
        case "char *" | "size_t *" | "int32_t *" | "int64_t *" | "uint64_t *":
            return ("" if parameter.type == "char *" else "&") + f"out_{parameter.name}"
        case "uint64_t" | "uint32_t":
            return "1"
    if parameter.type.endswith("**"):
        return f"&out_{parameter.name}"
    if parameter.type in header.callbacks:
        return f"called_{parameter.type}"
    for pointer, length in bytes_of(function):
        if length == parameter:
            return f"sizeof {BYTES.get(pointer.name, chr(34) + 'x' + chr(34))} - 1"
    for _, count in arrays_of(function):
        if count == parameter:
            return "sizeof texts / sizeof *texts"
    if parameter.type == "size_t" and buffer_before(function, parameter):
        return f"sizeof out_{buffer_before(function, parameter).name}"
    if parameter.type in ("size_t", "int64_t") and parameter.name not in NUMBERS:
        return "1"
    if parameter.name not in NUMBERS:
        raise KeyError(f"{function.name}: tests/c/calls.py knows no good {parameter.type} {parameter.name}")
    return NUMBERS[parameter.name]


def buffer_before(function: Function, parameter: Parameter) -> Parameter | None:
    at = function.parameters.index(parameter)
    before = function.parameters[at - 1] if at else None
    return before if before and before.type == "char *" else None


def nothing(function: Function) -> str:
    """What a function without a status gives when it cannot tell."""
    if function.name.endswith("_unix_micros"):
        return "LIME_NO_TIME"
    if function.name.endswith("_offset_seconds"):
        return "LIME_NO_OFFSET"
    if function.returns.endswith("*"):
        return "NULL"
    return "-1" if re.search(r"@return.*-1\b", function.comment) else "0"


def cases(header: Header) -> Iterator[Case]:
    for function in header.functions.values():
        name = function.name
        lengths = {pointer.name: length for pointer, length in bytes_of(function)}
        for parameter in function.parameters:
            where = f"{name}:{parameter.name}"
            if parameter.is_pointer or parameter.type in {*header.callbacks, "lime_drop_user_data"}:
                optional = may_be_null(header, function, parameter) and parameter.name not in lengths
                # Without a status, a function says by its value that it had nothing to work on.
                optional &= function.returns_status or function.returns == "void" or not parameter.handle
                message = "" if parameter.handle else f"{parameter.name} is NULL"
                yield Case(f"null:{where}", function, {parameter.name: "NULL"}, not optional, message)
            if parameter.type == "const char *":
                yield Case(
                    f"utf8:{where}", function, {parameter.name: BAD}, True, f"{parameter.name} is not UTF-8"
                )
            if parameter.type == "int32_t" and parameter.name != "status_number":
                for number in WRONG_NUMBERS:
                    # There may be such an answer.
                    if parameter.name == "http_status" and number == "999":
                        continue
                    yield Case(f"number:{where}:{number}", function, {parameter.name: number}, True)
            if parameter.type == "double":
                for what, number in WRONG_DOUBLES.items():
                    yield Case(f"number:{where}:{what}", function, {parameter.name: number}, True)
        for pointer, length in bytes_of(function):
            where = f"{name}:{pointer.name}"
            if "UTF-8" in function.about(pointer.name):
                yield Case(
                    f"utf8:{where}", function, {pointer.name: BAD, length.name: f"sizeof {BAD} - 1"}, True
                )
            yield Case(f"length:{where}:none", function, {pointer.name: "NULL", length.name: "0"}, False)
            empty = pointer.name == "context_json"  # no JSON object
            yield Case(f"length:{where}:0", function, {length.name: "0"}, empty)
            for what, number in HUGE.items():
                yield Case(f"length:{where}:{what}", function, {length.name: number}, True)
        for arrays, count in arrays_of(function):
            where = f"{name}:{count.name}"
            none = {array.name: "NULL" for array in arrays}
            yield Case(f"length:{where}:none", function, {**none, count.name: "0"}, False)
            for what, number in {**HUGE, "eighth": "SIZE_MAX / 8 + 1"}.items():
                yield Case(f"length:{where}:{what}", function, {count.name: number}, True)
        for parameter in function.parameters:
            if parameter.type == "size_t" and buffer_before(function, parameter):
                for number in ("0", "1"):
                    yield Case(
                        f"length:{name}:{parameter.name}:{number}", function, {parameter.name: number}, True
                    )


def callback(function: Function) -> str:
    """A callback that frees what it owns and counts."""
    parameters = ", ".join(f"{p.type}{'' if p.is_pointer else ' '}{p.name}" for p in function.parameters)
    lines = []
    for p in function.parameters:
        if p.name == "user_data":
            continue
        owned = p.handle and not p.type.startswith("const ")
        lines.append(f"    {p.handle}_free({p.name});" if owned else f"    (void){p.name};")
    body = "\n".join(lines)
    kind = "completed" if "status" in {p.name for p in function.parameters} else "called"
    return (
        f"static void called_{function.name}({parameters}) {{\n{body}\n    {kind}_back(user_data);\n}}\n"
        if function.returns == "void"
        else ""
    )


def body(header: Header, case: Case) -> str:
    function, lines = case.function, []
    names = {p.name for p in function.parameters}
    has_user = "user_data" in names
    outs = [
        p for p in function.parameters if p.type.endswith("**") or p.type in SCALARS or p.type == "char *"
    ]
    passed = {p.name: case.instead.get(p.name, good(header, function, p)) for p in function.parameters}
    outs = [p for p in outs if passed[p.name] != "NULL" or p.type == "char *"]
    if function.name.endswith("_free"):
        outs = []
    for p in outs:
        if p.type.endswith("**"):
            lines.append(f"{p.type[:-1]}out_{p.name} = ({p.type[:-1]})untouched;")
        elif p.type == "char *":
            lines.append(f'char out_{p.name}[128] = "untouched";')
        else:
            lines.append(f"{p.type[:-2]} out_{p.name} = 77;")
    call = f"{function.name}({', '.join(passed.values())})"
    user = "no_user_data()" if passed.get("user_data") == "NULL" else "user_data()"
    if prepare := PREPARED.get(name_of_handle(function)):
        lines.insert(0, prepare.get(function.name, prepare[""]))
    if passed.get("user_data", "NULL") != "NULL" or "drop_user_data" in names:
        lines.insert(0, f"struct call call = {{.user_data = {user}}};")
    drops = 0 if passed.get("drop_user_data") == "NULL" else 1
    if function.returns == "void":
        lines.append(f"{call};")
    elif not function.returns_status:
        test = f"{call} == {nothing(function)}"
        if function.returns == "const char *" and nothing(function) == "NULL":
            test = f"!{call}"
        lines.append(f"CHECK({test});" if case.refused else f"(void){call};")
        lines += [unchanged(p) for p in outs if case.refused and "for NULL" not in function.about(p.name)]
    else:
        lines.append(f"int32_t status = {call};")
        lines.append(f"CHECK(status {'==' if case.refused else '!='} LIME_ERROR_INVALID_ARGUMENT);")
        if passed.get("error") == "&out_error":
            message = f'"{case.message}"' if case.message else "NULL"
            lines.append(f"told(status, out_error, {message});")
        for p in outs:
            if p.name != "error":
                lines.append(f"if (status != LIME_OK) {unchanged(p)}")
                if p.type.endswith("**"):
                    free = "lime_string_free" if p.type == "char **" else f"{p.type[:-3].strip()}_free"
                    lines.append(f"else {free}(out_{p.name});")
        if has_user and "drop_user_data" in names:
            started = "completed" if function.name.endswith("_start") else "registered"
            lines.append(
                f"if (status == LIME_OK) {started}(&call, {drops}); else never_called(&call, {drops});"
            )
    inside = "\n".join(f"    {line}" for line in lines if line)
    return inside


# A request is used up by what is done with it: each case has one of its own.
PREPARED = {
    "lime_http_request": {
        "": "new_request();",
        "lime_http_request_write": "new_request_answered();",
        "lime_http_request_end": "new_request_answered();",
    },
}


def name_of_handle(function: Function) -> str | None:
    return function.parameters[0].handle if function.parameters else None


SCALARS = {"size_t *", "int32_t *", "int64_t *", "uint64_t *"}


def unchanged(p: Parameter) -> str:
    if p.type.endswith("**"):
        return f"CHECK((const void *)out_{p.name} == untouched);"
    if p.type == "char *":
        return f'CHECK_TEXT(out_{p.name}, "untouched");'
    return f"CHECK(out_{p.name} == 77);"


# They tell the time.
MOVING = {"lime_login_progress_elapsed_ms", "lime_login_progress_left_ms"}


def readers(header: Header) -> Iterator[str]:
    """What reads an object and nothing else: may run on any number of threads at once."""
    for function in header.functions.values():
        handles = [p for p in function.parameters if p.handle]
        if len(handles) != len(function.parameters) or len(handles) != 1:
            continue
        if not handles[0].type.startswith("const ") or function.returns in ("void",):
            continue
        call = f"{function.name}(live.{handles[0].handle})"
        if function.name in MOVING:
            yield f"(void){call};"
        elif function.returns == "const char *":
            yield f"sum_text(&sum, {call});"
        elif not function.returns.endswith("*") and not function.returns_status:
            yield f"sum_number(&sum, (uint64_t){call});"


def source(header: Header) -> tuple[str, list[str]]:
    """The cases as C, and their ids."""
    made = list(cases(header))
    parts = ["/* Made by tests/c/calls.py. */\n"]
    parts += [
        callback(function) for function in header.callbacks.values() if function.name != "lime_drop_user_data"
    ]
    for number, case in enumerate(made):
        parts.append(f"static void case_{number}(void) {{\n{body(header, case)}\n}}\n")
    parts.append("static const struct {\n    const char *id;\n    void (*run)(void);\n} cases[] = {")
    parts += [f'    {{"{case.id}", case_{number}}},' for number, case in enumerate(made)]
    parts.append("};\n")
    lines = "\n".join(f"    {line}" for line in readers(header))
    parts.append(
        f"static uint64_t read_everything(void) {{\n    uint64_t sum = 0;\n{lines}\n    return sum;\n}}"
    )
    return "\n".join(parts) + "\n", [case.id for case in made]
