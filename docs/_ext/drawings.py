"""The pictures of the concepts, as SVG: shapes have classes, whose colours ``site.css`` knows."""

from __future__ import annotations

from html import escape

FIELDS = [("sign", "31"), *[("exponent", str(bit)) for bit in range(30, 22, -1)]]
FIELDS += [("mantissa", str(bit)) for bit in range(22, -1, -1)]


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str = "", words: str = "") -> str:
    drawn = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" class="{kind}"/>'
    return drawn + (text(x + width / 2, y + height / 2 + 5, words) if words else "")


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "", arrow: bool = False) -> str:
    end = ' marker-end="url(#arrow)"' if arrow else ""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{kind}"{end}/>'


def svg(width: int, height: int, title: str, *parts: str) -> str:
    head = '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    head += 'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" class="head"/></marker></defs>'
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{head}{"".join(parts)}</svg>'
    )


def fault_space(title: str) -> str:
    """A model's tensors, their words, the bits of one word."""
    parts = []
    for n, (name, width) in enumerate(
        (("conv.weight", 190), ("conv.bias", 60), ("head.weight", 130), ("head.bias", 50))
    ):
        x = 10 + sum((190, 60, 130, 50)[:n]) + 50 * n
        parts.append(text(x + width / 2, 20, name, "small"))
        parts += [box(x + 10 * cell, 28, 10, 24, "word") for cell in range(width // 10)]
    struck = 10 + 190 + 50 + 60 + 50 + 40
    parts.append(box(struck, 28, 10, 24, "fault"))
    parts += [line(struck, 54, 10, 92, "thin"), line(struck + 10, 54, 618, 92, "thin")]
    for n, (field, bit) in enumerate(FIELDS):
        x = 10 + 19 * n
        parts.append(box(x, 94, 19, 28, "fault" if bit == "26" else field))
        if int(bit) % 4 == 2 or bit == "31":
            parts.append(text(x + 9.5, 140, bit, "small"))
    parts += [text(20, 160, "sign", "small", "start"), text(105, 160, "exponent", "small")]
    parts += [text(400, 160, "mantissa", "small")]
    return svg(630, 170, title, *parts)


def outcomes(title: str) -> str:
    """Three questions, four outcomes."""
    parts = []
    for n, (question, answer, kind, said) in enumerate(
        (
            ("a value is not finite, or the pass raised?", "DUE", "due", "detected error"),
            ("the task calls the answer another?", "SDC", "sdc", "silent corruption"),
            ("any bit of the output differs?", "benign", "benign", "other bits, same answer"),
        )
    ):
        y = 10 + 62 * n
        parts.append(box(10, y, 300, 40, "plain", question))
        parts += [line(310, y + 20, 372, y + 20, "flow", True), text(340, y + 14, "yes", "small")]
        parts += [box(374, y, 90, 40, kind, answer), text(474, y + 25, said, "small", "start")]
        parts += [line(160, y + 40, 160, y + 62, "flow", True)]
        parts.append(text(176, y + 55, "no", "small"))
    parts += [box(115, 196, 90, 40, "masked", "masked")]
    parts += [text(215, 221, "bit-identical", "small", "start")]
    return svg(630, 246, title, *parts)


def replay(title: str) -> str:
    """A golden pass and a trial that begins at its cut."""
    parts = [text(10, 24, "golden run", "small", "start"), text(10, 94, "trial", "small", "start")]
    for n in range(6):
        x = 110 + 84 * n
        parts.append(box(x, 5, 62, 32, "plain", f"layer {n + 1}"))
        kind = "kept" if n < 3 else "fault" if n == 3 else "run"
        parts.append(box(x, 75, 62, 32, kind, f"layer {n + 1}"))
        if n < 5:
            parts.append(line(x + 62, 21, x + 83, 21, "flow", True))
        if 2 <= n < 5:
            parts.append(line(x + 62, 91, x + 83, 91, "flow", True))
    parts += [line(351, 30, 351, 84, "flow", True), text(360, 60, "kept value", "small", "start")]
    parts += [text(225, 130, "not run: a fault cannot change them", "small")]
    parts += [text(495, 130, "run, with the fault in layer 4", "small")]
    return svg(630, 140, title, *parts)


def intervals(title: str) -> str:
    """Twenty repetitions of an experiment: one interval misses the truth."""
    ends = [(31, 82), (45, 99), (22, 70), (52, 104), (38, 88), (64, 118), (29, 79), (41, 93)]
    ends += [(48, 101), (35, 86), (76, 128), (26, 75), (57, 109), (33, 84), (43, 96), (50, 103)]
    ends += [(39, 91), (60, 113), (28, 77), (46, 98)]
    top, truth = 30, 250 + 68 * 1.2
    parts = [text(truth, 18, "the true rate", "small"), line(truth, 24, truth, 236, "truth")]
    for n, (low, high) in enumerate(ends):
        y = top + 10 * n + 4
        missed = not low <= 68 <= high
        kind = "missed" if missed else "held"
        parts.append(line(250 + 1.2 * low, y, 250 + 1.2 * high, y, kind))
        parts.append(f'<circle cx="{250 + 0.6 * (low + high)}" cy="{y}" r="2.5" class="{kind}"/>')
        if missed:
            parts.append(text(420, y + 4, "one in twenty misses", "small", "start"))
    parts += [text(10, 60, "twenty campaigns,", "small", "start")]
    parts += [text(10, 78, "each of its own faults", "small", "start")]
    return svg(630, 244, title, *parts)


def granularity(title: str) -> str:
    """One fault set on all samples, or one on each."""
    parts = [text(150, 18, "dataset: a trial is a fault set", "small")]
    parts += [text(470, 18, "inference: a trial is a fault and a sample", "small")]
    for row in range(4):
        y = 32 + 34 * row
        parts.append(text(10, y + 18, f"trial {row + 1}", "small", "start"))
        for sample in range(6):
            parts.append(box(66 + 30 * sample, y, 26, 24, f"fault{row + 1}"))
    parts.append(text(155, 186, "four passes of six samples", "small"))
    for sample in range(6):
        kind = f"fault{sample + 1}" if sample < 4 else "plain"
        parts.append(box(380 + 30 * sample, 83, 26, 24, kind))
        parts.append(text(393 + 30 * sample, 76, str(sample + 1), "small"))
    parts.append(text(470, 130, "one pass: each sample has its own fault", "small"))
    return svg(630, 196, title, *parts)
