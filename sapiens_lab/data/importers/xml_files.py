"""Read XML as data alone: no document types, so no entities that grow or read other files."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from sapiens_lab.limits import MAX_JSON_BYTES, read_file

_MAX_DEPTH = 100


def read_xml(path: Path) -> Element:
    """Parse an XML file.

    Raises:
        ValueError: it is not XML, declares a document type, or is nested or large beyond reason;
            names the file.
    """
    content = read_file(path, MAX_JSON_BYTES)
    builder = TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"{path}: its elements are nested more than {_MAX_DEPTH} deep")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> int:
        raise ValueError(
            f"{path} declares a document type (DOCTYPE), which no labeling tool writes; it is not "
            "read, since entities can grow without end or read other files"
        )

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except (expat.ExpatError, AssertionError, LookupError) as error:
        raise ValueError(f"{path} is not valid XML: {error}") from error
