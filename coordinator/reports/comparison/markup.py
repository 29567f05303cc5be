"""A comparison in Markdown, LaTeX or HTML; text in it stays text, whatever it looks like."""

import re
from collections.abc import Iterable, Iterator, Sequence

from coordinator.domain.shown import for_terminal
from coordinator.reports.comparison.html import html
from coordinator.reports.comparison.result import Comparison
from coordinator.reports.comparison.sheets import Extent, Sheet, main_metric, sheets_of

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~&$!]|:(?=//))")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "-": "{-}",  # or two of them become one long dash
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "[": "{[}",  # or it may be taken for an option of the line end before it
    "]": "{]}",
}


def markup(found: Comparison, language: str, extent: Extent) -> str:
    """The whole document. `language`: `markdown`, `latex` or `html`.

    Raises:
        UsageError: what writes HTML is not installed.
    """
    title, sheets = f"{found.b.batch} against {found.a.batch}", sheets_of(found, extent)
    if language == "html":
        return html(found, title, sheets, main_metric(found, extent))
    return (latex if language == "latex" else markdown)(title, sheets)


def markdown(title: str, sheets: Iterable[Sheet]) -> str:
    """A document in GitHub's Markdown."""
    parts = [f"# {_md(title)}", *(_md_sheet(sheet) for sheet in sheets)]
    return "\n\n".join(parts) + "\n"


def latex(title: str, sheets: Iterable[Sheet]) -> str:
    """Tables to include; they need the packages booktabs and longtable, and T1 fonts."""
    head = (
        f"% {for_terminal(title)}\n% \\usepackage[T1]{{fontenc}}\\usepackage{{booktabs,longtable}}"
    )
    return "\n\n".join([head, *(_tex_sheet(sheet) for sheet in sheets)]) + "\n"


def _md(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", for_terminal(text))


def _md_sheet(sheet: Sheet) -> str:
    lines = [f"## {_md(sheet.title)}", "", *(_md_table(sheet) if sheet.rows else ())]
    if sheet.notes:
        lines += ["", *(f"- {_md(note)}" for note in sheet.notes)]
    return "\n".join(lines)


def _md_table(sheet: Sheet) -> Iterator[str]:
    yield _md_row(sheet.columns)
    yield _row("--:" if kind.is_number else "---" for kind in sheet.columns.values())
    yield from map(_md_row, sheet.lines())


def _md_row(cells: Iterable[str]) -> str:
    return _row(_md(cell) for cell in cells)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in for_terminal(text))


def _tex_sheet(sheet: Sheet) -> str:
    notes = [f"\\noindent {_tex(note)}\\par" for note in sheet.notes]
    return "\n".join([*(_tex_table(sheet) if sheet.rows else ()), *notes])


def _tex_table(sheet: Sheet) -> Iterator[str]:
    places = "".join("r" if kind.is_number else "l" for kind in sheet.columns.values())
    yield f"\\begin{{longtable}}{{{places}}}"
    yield f"\\caption{{{_tex(sheet.title)}}}\\\\"
    yield f"\\toprule\n{_tex_row(list(sheet.columns))}\n\\midrule\n\\endhead"
    yield from map(_tex_row, sheet.lines())
    yield "\\bottomrule\n\\end{longtable}"


def _tex_row(cells: Sequence[str]) -> str:
    return f"{' & '.join(_tex(cell) for cell in cells)} \\\\"
