"""The files of an export, for each ecosystem."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template

from firmware_export.generate import TEMPLATES, CModel
from firmware_export.golden import Golden, selftest
from firmware_export.literals import C_TYPES
from firmware_export.memory import TYPE_BYTES

# target -> (folder of the headers, [(file, template)]); $prefix in a file's name is the model's
_LIBRARY = [
    ("src/$prefix.c", "implementation.c"),
    ("src/edgernn_link.h", "edgernn_link.h"),
    ("src/${prefix}_answer.h", "answer.h"),
]
_SKETCHES = [("examples/events/events.ino", "events.ino"), ("examples/answer/answer.ino", "answer.ino")]
TARGETS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "c": (
        "",
        [
            ("implementation.c", "implementation.c"),
            ("example.c", "example.c"),
            ("Makefile", "Makefile"),
            ("edgernn_link.h", "edgernn_link.h"),
            ("${prefix}_answer.h", "answer.h"),
        ],
    ),
    "arduino": ("src/", [*_LIBRARY, *_SKETCHES, ("library.properties", "library.properties")]),
    "platformio": ("src/", [*_LIBRARY, *_SKETCHES, ("library.json", "library.json")]),
    "esp-idf": (
        "src/",
        [*_LIBRARY, ("CMakeLists.txt", "esp_idf.cmake"), ("idf_component.yml", "idf_component.yml")],
    ),
    "zephyr": (
        "src/",
        [
            *_LIBRARY,
            ("zephyr/module.yml", "zephyr_module.yml"),
            ("zephyr/CMakeLists.txt", "zephyr.cmake"),
            ("zephyr/Kconfig", "Kconfig"),
        ],
    ),
    "cmake": ("src/", [*_LIBRARY, ("CMakeLists.txt", "cmake.txt")]),
}
# where the self-test lies; Arduino compiles everything beside it but extras
SELFTEST = {"arduino": "extras/selftest.c", "platformio": "extras/selftest.c"}
NOT_COMPILED_HERE = {"esp-idf": "ESP32 (Xtensa and ESP-IDF)", "zephyr": "Zephyr", "platformio": "PlatformIO"}

KINDS = {"int32": ("int16", "EDGERNN_LINK_INT16"), "int16": ("int16", "EDGERNN_LINK_INT16")}
FLOAT_KIND = ("float32", "EDGERNN_LINK_FLOAT")
MAX_VALUE_BYTES = 240  # in one packet of edgernn_link.h


def files(model: CModel, target: str, golden: Golden) -> dict[str, str]:
    """Path inside the export -> text, of everything but the description for `edgernn verify`."""
    folder, templates = TARGETS[target]
    header = folder + model.file
    values = _values(model) | {"header": header}
    values["notes"] = _notes(target)
    values["flush"] = _flush_example(model)
    texts = {header: model.text}
    chosen = [(path, template) for path, template in templates if _serves(model, template)]
    sketches = [Path(path) for path, _ in chosen if path.endswith(".ino")]
    values["examples"] = ",\n    ".join(
        json.dumps({"name": path.stem, "base": str(path.parent), "files": [path.name]}) for path in sketches
    )
    values["programs"] = "selftest example" if _serves(model, "example.c") else "selftest"
    for path, template in chosen:
        texts[Template(path).substitute(values)] = _text(model, template, values)
    texts[selftest_path(target)] = selftest(model, golden)
    texts["README.md"] = _text(model, "README.md", values)
    return texts


def _serves(model: CModel, template: str) -> bool:
    """Whether a file makes sense for a model."""
    if template in {"example.c", "events.ino"}:  # a line of numbers is one input
        return len(model.program.inputs) == 1 and len(model.program.outputs) == 1
    return not template.startswith("answer") or max(_packet_bytes(model)) <= MAX_VALUE_BYTES


def _flush_example(model: CModel) -> str:
    """How the end of a stream is read, for the README."""
    if not model.flushes:
        return ""
    outputs = "".join(f", {model.step.outputs[output.name]}" for output in model.flushed)
    return f"while ({model.prefix}_flush(&state{outputs})) {{ /* after the last sample: what was still to come */ }}\n"


def selftest_path(target: str) -> str:
    """Where the self-test of an export lies."""
    return SELFTEST.get(target, "selftest.c")


def header_folder(target: str) -> str:
    """Folder of the headers of an export."""
    return TARGETS[target][0]


def _notes(target: str) -> str:
    if target in NOT_COMPILED_HERE:
        return (
            f"Unverified: the files for {NOT_COMPILED_HERE[target]} were generated, but not compiled with its own "
            "tools. The C code itself is the one that `edgernn verify` proves."
        )
    return "`edgernn verify` proves that it computes what the host computes."


def packet_kind(dtype: str) -> tuple[str, str]:
    """Number type in packets of a number type in C, and the C name of its kind."""
    return KINDS.get(dtype, FLOAT_KIND)


def _packet_bytes(model: CModel) -> tuple[int, int]:
    """Bytes of all inputs, and of all outputs, in packets."""
    inputs = sum(port.size * _wire_bytes(model.step.input_dtype(port.name)) for port in model.program.inputs)
    outputs = sum(port.size * _wire_bytes(_output_dtype(model, port.name)) for port in model.program.outputs)
    return inputs, outputs


def _wire_bytes(dtype: str) -> int:
    return TYPE_BYTES[packet_kind(dtype)[0]]


def _output_dtype(model: CModel, name: str) -> str:
    return model.step.dtype(model.step.output_value(name))


def _text(model: CModel, template: str, values: dict[str, str]) -> str:
    """A template with its values; the link header is the same for every model and has none."""
    text = (TEMPLATES / template).read_text()
    if template == "edgernn_link.h":
        return text
    own = {"answer.h": _answer_values, "events.ino": _sketch_values, "example.c": _example_values}
    return Template(text).substitute(values | (own[template](model) if template in own else {}))


def _answer_values(model: CModel) -> dict[str, str]:
    """Buffers of all ports, and the lines that take them out of a packet and put them into one."""
    step, buffers, read, write, arguments = model.step, [], [], [], []
    for port in model.program.inputs:
        dtype, local = step.input_dtype(port.name), step.inputs[port.name]
        buffers.append(f"    {C_TYPES[dtype]} input_{local}[{port.size}];")
        arguments.append(f"answerer->input_{local}")
        read.append(f"    for (uint16_t k = 0; k < {port.size}; k++, from += {_wire_bytes(dtype)}) {{")
        if packet_kind(dtype)[0] == "int16":
            value = f"({C_TYPES[dtype]})(int16_t)(from[0] | (uint16_t)from[1] << 8)"
            read.append(f"        answerer->input_{local}[k] = {value};")
        else:
            read.append(f"        uint8_t *const number = (uint8_t *)&answerer->input_{local}[k];")
            read.append("        for (uint8_t b = 0; b < 4; b++) number[b] = from[b];")
        read.append("    }")
    for number, port in enumerate(model.program.outputs):
        dtype, local = _output_dtype(model, port.name), step.outputs[port.name]
        buffers.append(f"    {C_TYPES[dtype]} output_{local}[{port.size}];")
        arguments.append(f"answerer->output_{local}")
        new = f"answerer->state.new_frames[{number}]" if model.tells_new else "frames"
        write += [f"    if ({new}) {{", *_write_lines(local, dtype, port.size), "    }"]
    texts = {"buffers": buffers, "read": read, "write": write}
    return {key: "\n".join(lines) for key, lines in texts.items()} | {"arguments": ", ".join(arguments)}


def _write_lines(local: str, dtype: str, size: int) -> list[str]:
    """Lines that put an output into a packet; integers have 16 bits there."""
    if packet_kind(dtype)[0] == "int16":
        return [
            f"        for (uint16_t k = 0; k < {size}; k++) {{",
            f"            const uint16_t number = (uint16_t)answerer->output_{local}[k];",
            "            *to++ = (uint8_t)number;",
            "            *to++ = (uint8_t)(number >> 8);",
            "        }",
        ]
    return [
        f"        const uint8_t *const bytes = (const uint8_t *)answerer->output_{local};",
        f"        for (uint16_t k = 0; k < {4 * size}; k++) *to++ = bytes[k];",
    ]


def _normalise(model: CModel, indent: str) -> dict[str, str]:
    """The line that brings a sample to the model's scale, and what the step then takes."""
    if not model.normalises:
        return {"normalise": "", "step_input": "input"}
    return {"normalise": f"{indent}{model.prefix}_normalise(input, input);\n", "step_input": "input"}


def _decide_lines(model: CModel, report: list[str], leave: str, indent: str) -> list[str]:
    """Lines that decide on each new frame of the output, and report the events."""
    layout = model.score_layout
    several = layout.frames > 1 and not layout.newest_only
    scores = f"output + frame * {layout.inner}" if several else "output"
    lines = [
        f"{model.prefix}_event event;",
        f"if (!{model.prefix}_decide(&state, {scores}, &event)) {'continue' if several else leave};",
        *report,
    ]
    if several:
        inside = [f"    {line}" for line in lines]
        lines = [f"for (uint16_t frame = 0; frame < {layout.frames}; frame++) {{", *inside, "}"]
    return [indent + line for line in lines]


def _sketch_values(model: CModel) -> dict[str, str]:
    if model.decides:
        report = [
            f"Serial.print({model.prefix}_label(event.label));",
            "Serial.print(' ');",
            "Serial.println(event.score / 32768.0);",
        ]
        lines = _decide_lines(model, report, "return", "    ")
    else:
        lines = [
            "    for (uint16_t k = 0; k < sizeof output / sizeof output[0]; k++) {",
            "        if (k) Serial.print(',');",
            "        Serial.print(output[k]);",
            "    }",
            "    Serial.println();",
        ]
    return _normalise(model, "    ") | {"react": "".join(f"{line}\n" for line in lines)}


def _example_values(model: CModel) -> dict[str, str]:
    if model.decides:
        report = [f'printf("%s %.3f\\n", {model.prefix}_label(event.label), event.score / 32768.0);']
        lines = _decide_lines(model, report, "continue", "        ")
    else:
        size = model.program.outputs[0].size
        lines = [
            f'        for (int k = 0; k < {size}; k++) printf("%s%.9g", k ? "," : "", (double)output[k]);',
            '        printf("\\n");',
        ]
    react = "".join(f"{line}\n" for line in lines)
    flush = f"    while ({model.prefix}_flush(&state, output)) {{\n{react}    }}\n" if model.flushes else ""
    return _normalise(model, "        ") | {"react": react, "flush": flush}


def _values(model: CModel) -> dict[str, str]:
    """What the templates ask for."""
    program, step = model.program, model.step
    first_input, first_output = program.inputs[0], program.outputs[0]
    input_dtype = step.input_dtype(first_input.name)
    input_type = "float" if input_dtype == "float32" else "int32_t"
    input_bytes, output_bytes = _packet_bytes(model)
    memory = [
        ("weights and tables, flash", model.table_bytes),
        ("state of one stream, RAM", model.state_bytes),
    ]
    if step.runs_tail:
        memory.append(("of that the copy that runs the tail of each prefix", model.slots_bytes))
    return {
        "prefix": model.prefix,
        "PREFIX": model.prefix.upper(),
        "file": model.file,
        "memory": "\n".join(f"| {what} | {size} |" for what, size in memory),
        "channels": str(first_input.size),
        "outputs": str(first_output.size),
        "line_bytes": str(max(32, 14 * first_input.size)),
        "input_type": input_type,
        "output_type": model.output_type(first_output.name),
        "parse": "strtod(at, &end)" if input_type == "float" else "strtol(at, &end, 10)",
        "what": "the events that the model recognizes" if model.decides else "the outputs of the model",
        "arguments": ", ".join([*step.inputs.values(), *step.outputs.values()]),
        "input_kind": packet_kind(input_dtype)[1],
        "input_bytes": str(input_bytes),
        "output_kind": packet_kind(_output_dtype(model, first_output.name))[1],
        "output_bytes": str(output_bytes),
    }
