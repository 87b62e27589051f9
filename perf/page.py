"""The report as one HTML page that needs nothing else: no network, no script. It follows the reader's dark or light, prints, and
has every plot's figures as a table behind it."""

import html

import plots
import stages
import sweeps
from gate import ENFORCE, OFF, PEERS

STYLE = """
:root{color-scheme:light dark;--ink:#222;--soft:#555;--paper:#fff;--grid:#d8d8d8;--link:#0057a8}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6e6e6;--soft:#aaa;--paper:#16181c;--grid:#3a3d44;--link:#8ab4f8}}
body{font:15px/1.5 sans-serif;max-width:1500px;margin:2em auto;padding:0 1em;color:var(--ink);background:var(--paper)}
a,summary{color:var(--link)} h1{line-height:1.2} h2{margin-top:2em;border-bottom:1px solid var(--grid)}
nav ul{display:flex;flex-wrap:wrap;gap:.3em 1.4em;list-style:none;padding:0}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,36rem),1fr));gap:0 1.2em}
figure{margin:0 0 1.2em;padding:.8em;border:1px solid var(--grid);min-width:0;break-inside:avoid}
figcaption{font-weight:bold;margin-bottom:.4em} figcaption+p,figure>p{margin:.2em 0 .6em;color:var(--soft)}
.wide{overflow-x:auto} .wide svg{display:block;width:100%;min-width:30rem} .flame svg{min-width:60rem}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;margin:.6em 0}
th,td{border:1px solid var(--grid);padding:.15em .6em;text-align:right;white-space:nowrap} th:first-child,td.word{text-align:left}
td.word{font-family:monospace}
@media print{body{max-width:none;margin:0}h2{break-after:avoid}.plots{display:block}figure{margin-bottom:1em}.wide{overflow:visible}
.wide svg,.flame svg{min-width:0}details::details-content{content-visibility:visible;height:auto}nav{display:none}}
"""
ONE_OF = "alternating rounds; a bar spans their lowest and highest"
QUANTILES = {2: "p50", 10: "p90", 100: "p99", 1000: "p99.9", 10000: "p99.99"}


def table(head, rows, words=()):
    """The first column heads its row; `words`: columns of text."""
    cells = "".join(f"<th scope=col>{html.escape(str(cell))}</th>" for cell in head)
    body = ""
    for first, *rest in rows:
        body += f"<tr><th scope=row>{html.escape(str(first))}</th>" + "".join(
            f"<td{' class=word' if index + 1 in words else ''}>{html.escape(str(cell))}</td>"
            for index, cell in enumerate(rest)) + "</tr>"
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def figure(title, picture, note="", figures="", kind=""):
    """Wider than a telephone, the picture is scrolled by itself, by keyboard too."""
    label = html.escape(title, quote=True)
    return (f"<figure><figcaption>{html.escape(title)}</figcaption>" + (f"<p>{html.escape(note)}</p>" if note else "")
            + f'<div class="wide {kind}" tabindex=0 role=region aria-label="{label}">{picture}</div>'
            + (f"<details><summary>Figures</summary><div class=wide tabindex=0 role=region aria-label=\"{label}, figures\">"
               f"{figures}</div></details>" if figures else "") + "</figure>")


def us(value):
    return f"{value:,.2f}"


# ---- the figures, each of what its part has found ----

def costs(facts):
    profile, apache = facts["profile"], facts.get("mod_oauth2_us")
    values = {name: told["cpu_us"] for name, told in profile.items()}
    note = "Median of rounds. The peers do mutual TLS and verify nothing."
    if apache:
        note += f" Apache with mod_oauth2, which verifies the proof, takes {apache:,.0f} µs: {apache / values[ENFORCE]:.0f} times."
    rows = [(name, us(value), f"{value / values[ENFORCE]:.2f}") for name, value in values.items()]
    rows += [("Apache mod_oauth2", us(apache), f"{apache / values[ENFORCE]:.2f}")] if apache else []
    colours = dict(zip((ENFORCE, OFF, *PEERS), plots.PALETTE))
    yield figure("CPU of a request", plots.bars("CPU of a request", values, "µs", colours), note,
                 table(("", "µs", f"of {ENFORCE}"), rows))


def by_stage(facts):
    rows = {name: told["stages"] for name, told in facts["profile"].items() if told.get("stages")}
    if not rows:
        return
    used = [stage for stage in stages.ORDER if any(stage in values for values in rows.values())]
    figures = table(("µs", *rows), [(stage, *(us(values.get(stage, 0)) for values in rows.values())) for stage in used])
    yield figure("CPU of a request by stage", plots.stacked("CPU of a request by stage", rows, "µs", stages.COLOURS),
                 "Shares of samples, of the CPU that was measured without sampling. A peer's own code is not divided further; "
                 "what libc does for its TLS counts there.", figures)
    for name in (ENFORCE, OFF):
        if name in rows:
            yield figure(f"The same, {name}", plots.bars(f"CPU of a request by stage, {name}", rows[name], "µs", stages.COLOURS))


def instructions(facts):
    rows = facts["instructions"]
    used = sorted({stage for values in rows.values() for stage in values}, key=lambda s: -rows[ENFORCE].get(s, 0))
    figures = table(("instructions", *rows), [(stage, *(f"{values.get(stage, 0):,.0f}" for values in rows.values()))
                                              for stage in used])
    for name, values in rows.items():
        thousands = {stage: values[stage] / 1000 for stage in used if stage in values}
        yield figure(f"Instructions of a request, {name}: {sum(thousands.values()):,.1f} thousand",
                     plots.bars(f"Instructions of a request by folder of src and by library, {name}", thousands, "k"),
                     "callgrind; portable crypto, epoll, one connection: repeatable, and not what the native engine runs.",
                     figures if name == ENFORCE else "")


def latency(facts):
    told = facts["latency"]
    series = {name: [(1 / (1 - q), *values) for q, *values in points] for name, points in told["of"].items()}
    rows = [(label, *(us(min(points, key=lambda p: abs(p[0] - x))[1]) for points in series.values()))
            for x, label in QUANTILES.items() if x <= max(p[0] for points in series.values() for p in points)]
    title = f"Latency at {told['rate']:,.0f} requests a second"
    yield figure(title, plots.lines(title, series, "quantile", "µs", log_x=True, log_y=True, x_ticks=QUANTILES),
                 "Open loop, from when a request was due: 70 % of what HAProxy's core can. Median of " + ONE_OF + ".",
                 table(("µs, near", *series), rows))


def closed_loop(facts):
    of = {name: told["latency_us"] for name, told in facts["profile"].items()}
    quantiles = [name for name in QUANTILES.values() if all(name in told for told in of.values())]
    series = {name: [(index, told[quantile]) for index, quantile in enumerate(quantiles)] for name, told in of.items()}
    yield figure("Latency, closed loop", plots.lines("Latency, closed loop, 64 connections", series, "quantile", "µs", log_y=True,
                                                     x_ticks=dict(enumerate(quantiles))),
                 "Each of 64 connections asks again when it is answered: who is faster is asked more.",
                 table(("µs", *series), [(quantile, *(us(told[quantile]) for told in of.values())) for quantile in quantiles]))


def sweep(facts, subject, title, note, labels=None, log_x=True):
    series = facts["sweeps"][subject]
    labels = labels or {x: f"{x:,}" for points in series.values() for x, *_ in points}
    rows = [(labels[x], *(spread(points, x) for points in series.values())) for x in sorted(labels)]
    yield figure(title, plots.lines(title, series, subject, "µs", log_x=log_x, x_ticks=labels), note,
                 table(("µs, lowest and highest", *series), rows))


def spread(points, x):
    return next((f"{us(median)} ({us(low)}-{us(high)})" for value, median, low, high in points if value == x), "-")


def growth(facts):
    found = facts["sweeps"]
    if "connections" in found:
        yield from sweep(facts, "connections", "CPU of a request over connections", f"Median of {ONE_OF}.")
    if "body bytes" in found:
        yield from sweep(facts, "body bytes", "CPU of a request over sizes of answers", f"16 connections. Median of {ONE_OF}.",
                         sweeps.BODIES)
    if "keys" in found:
        yield from sweep(facts, "keys", "CPU of a request over client keys",
                         f"key_memory 192MiB. Median of {ONE_OF}. Only who verifies knows them.")
    if "workers" in found:
        where = "all on one core here" if facts.get("workers_share_a_cpu", True) else "a core each"
        yield from sweep(facts, "workers", "CPU of a request over workers", f"Workers, processes or threads, {where}. Median of "
                         f"{ONE_OF}.", {n: str(n) for n in sweeps.WORKERS}, log_x=False)


def batches(facts):
    bounds = list(next(iter(facts["batches"].values()), {}))
    # Up to the largest that was seen.
    bounds = bounds[:1 + max(bounds.index(b) for batch in facts["batches"].values() for b, share in batch.items() if share)]
    names = {index: "more" if bound == "+Inf" else bound if bound == "1" else f"≤ {bound}" for index, bound in enumerate(bounds)}
    series = {f"{n} connection{'s' * (n != '1')}": [(index, 100 * batch[bound]) for index, bound in enumerate(bounds)]
              for n, batch in facts["batches"].items()}
    rows = [(names[index], *(f"{points[index][1]:.1f}" for points in series.values())) for index in range(len(bounds))]
    yield figure("Signatures verified together", plots.lines("Signatures verified together", series, "signatures in a batch",
                                                             "% of batches", x_ticks=names),
                 "A batch is what one turn of the loop brought, under a closed loop of so many connections.",
                 table(("% of batches", *series), rows))


def flames_of(facts, flames):
    for name, picture in flames.items():
        heaviest = facts["profile"][name].get("heaviest", [])
        rows = [(function, stage, f"{100 * share:.1f}") for function, stage, share in heaviest]
        note = "Width is the share of samples, callers below; pointing at a box says whose it is and how much."
        if name in PEERS:
            note += " Debian builds it without frame pointers: who called its own functions is not to be trusted."
        yield figure(f"Flame graph, {name}", picture, note, table(("the heaviest functions themselves", "stage", "% of samples"), rows, words=(1,)),
                     "flame")


SECTIONS = (
    # what facts must have, anchor, heading, the figures
    ("profile", "cost", "What a request costs, beside the peers", (costs, by_stage)),
    ("instructions", "instructions", "Instructions", (instructions,)),
    ("latency", "latency", "Latency", (latency, closed_loop)),
    ("sweeps", "growth", "How the cost grows", (growth,)),
    ("batches", "batches", "Batches", (batches,)),
)


def intro(facts):
    return (f"<p>{html.escape(facts['date'])}. {html.escape(facts['cpu'])}, {facts.get('cpus', '?')} CPUs, Linux "
            f"{html.escape(facts['kernel'])}, load {facts['load']:.1f} at the start. {html.escape(facts['version'])}.</p>"
            "<p>One worker on a core of its own, 64 keep-alive mutual TLS connections, 200 client keys, about 1.2 KB of request, "
            "unless a plot says otherwise; CPU is user and system time of the proxy's processes, as the kernel counts it. Figures "
            "of a shared machine: compare them within this page.</p>")


def write(facts, flames, path):
    """Returns what parts it could not draw, for nobody has measured them."""
    missing = [part for part, *_ in SECTIONS if part not in facts]
    missing += [f"the sweep over {name}" for name in ("connections", "body bytes", "keys", "workers")
                if name not in facts.get("sweeps", {})]
    sections, links = [], []
    for part, anchor, heading, makers in SECTIONS:
        if part in facts and (part != "latency" or "profile" in facts):
            figures = "".join(picture for make in makers for picture in make(facts))
            sections.append(f"<section id={anchor}><h2>{heading}</h2><div class=plots>{figures}</div></section>")
            links.append(f"<li><a href=#{anchor}>{heading}</a></li>")
    if flames:
        sections.append("<section id=flames><h2>Flame graphs</h2>" + "".join(flames_of(facts, flames)) + "</section>")
        links.append("<li><a href=#flames>Flame graphs</a></li>")
    absent = f"<p>Not measured here: {html.escape(', '.join(missing))}.</p>" if missing else ""
    path.write_text("<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
                    f"content='width=device-width'><title>popgate: where a request's time goes</title><style>{STYLE}</style></head>"
                    f"<body><h1>popgate: where a request's time goes</h1>{intro(facts)}{absent}<nav><ul>{''.join(links)}</ul></nav>"
                    + "\n".join(sections) + "</body></html>\n")
    return missing
