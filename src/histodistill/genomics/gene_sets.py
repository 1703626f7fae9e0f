"""Sets of genes in GMT files, as MSigDB and others give them."""

from __future__ import annotations

from pathlib import Path

from histodistill.errors import InputError
from histodistill.gate.plain import MB, content

# All of MSigDB has 20 MB.
_GMT_BYTES = 256 * MB


def read_gene_sets(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a GMT file: a line a set, with its name, a description and its genes, tab by tab.

    Raises:
        InputError: It cannot be read, is no GMT file, holds no set, or names one twice.
    """
    try:
        text = content(path, most=_GMT_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no GMT file: it is not text in UTF-8") from None
    problems, sets = [], {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, *rest = (cell.strip() for cell in line.split("\t"))
        genes = tuple(dict.fromkeys(cell for cell in rest[1:] if cell))
        if not line.strip():
            continue
        if not name or not genes:
            problems.append(
                f"{path}: line {number} is no set of genes; a line of a GMT file is a name, a "
                "description and genes, with tabs between them"
            )
        elif name in sets:
            problems.append(f"{path}: line {number}: the set {name} is there already")
        else:
            sets[name] = genes
    if problems:
        raise InputError(*problems[:5], *([f"{path}: and more"] if len(problems) > 5 else []))
    if not sets:
        raise InputError(f"{path}: holds no set of genes")
    return sets
