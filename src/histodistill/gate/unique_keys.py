"""YAML whose mappings name each key once: a second one would silently replace the first."""

from __future__ import annotations

from typing import Any

import yaml


class UniqueKeyLoader(yaml.SafeLoader):
    """The safe loader, which also notes keys that stand twice in one mapping.

    Attributes:
        repeated: A sentence for each such key, with the lines, once the document is loaded.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.repeated: list[str] = []

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping and compare its keys, before merged ones (``<<``) join them."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if (key.tag, key.value) in lines:
                first = lines[key.tag, key.value]
                self.repeated.append(
                    f"`{key.value}` stands twice in one mapping, in line {first} and in line "
                    f"{line}; keep one"
                )
            lines.setdefault((key.tag, key.value), line)
        return node
