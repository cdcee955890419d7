"""The style sheet of a report: light and dark, narrow and wide."""

STYLE = """
:root {
  --back: #fff; --panel: #f5f6f8; --ink: #1b1f24; --soft: #57606a; --rule: #d5dae0;
  --bad: #b3261e; --good: #14713d; --boundary: #8a94a0;
  --group0: #0067b1; --group1: #b26a00; --group2: #007a5a; --group3: #9b3d80;
  --lowered: #0067b1; --kept: #b26a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171b; --panel: #1e2329; --ink: #e8ebef; --soft: #a3adb8; --rule: #363d46;
    --bad: #ff7a6b; --good: #5fd08f; --boundary: #77828f;
    --group0: #62b4f0; --group1: #f0b04a; --group2: #3fcfa4; --group3: #e79ad0;
    --lowered: #62b4f0; --kept: #f0b04a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--back); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
main { max-width: 66rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .5rem; }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; overflow-wrap: anywhere; }
dl { display: flex; flex-wrap: wrap; gap: .5rem; margin: .75rem 0; }
dl div { background: var(--panel); border-radius: .5rem; padding: .35rem .75rem; }
dt { font-size: .75rem; color: var(--soft); }
dd { margin: 0; font-weight: 600; }
footer { color: var(--soft); margin-top: 2rem; border-top: 1px solid var(--rule); }
.verdict { font-weight: 700; padding: .5rem .75rem; border-left: .35rem solid; }
.verdict { background: var(--panel); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; margin: .5rem 0; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child { text-align: left; font-weight: 400; padding-left: 0; min-width: 7rem; }
th:first-child { position: sticky; left: 0; background: var(--back); }
thead th { font-weight: 600; vertical-align: bottom; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.bad { font-weight: 700; }
td.unjudged { color: var(--soft); }
.measures th:last-child, .measures td:last-child { color: var(--soft); }
.facts th, .facts td { text-align: left; vertical-align: top; white-space: normal; }
.facts th:first-child { width: 7rem; color: var(--soft); }
.facts td { overflow-wrap: anywhere; max-width: 46rem; }
.words th, .words td { text-align: left; white-space: nowrap; }
figure { margin: .5rem 0; }
figcaption { font-weight: 600; }
.three { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; }
.key-list { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; }
.key-list { margin: .5rem 0; font-size: .875rem; color: var(--soft); }
.key-list li { display: flex; align-items: center; gap: .35rem; }
.key { width: 1rem; height: 1rem; flex: none; }
.swatch { width: 1rem; height: .6rem; display: inline-block; }
.swatch.kept { background: var(--kept); }
.swatch.lowered { background: var(--lowered); }
svg.square, svg.wide { display: block; width: 100%; height: auto; }
svg.square { max-width: 26rem; }
svg.wide { max-width: 46rem; }
svg text { fill: var(--ink); font-size: 12px; }
svg .number, svg .name { fill: var(--soft); }
svg .side { dominant-baseline: central; }
svg .region { fill: var(--soft); opacity: .8; }
svg .note { paint-order: stroke; stroke: var(--back); stroke-width: 4px; }
.frame { fill: none; stroke: var(--rule); }
.grid { stroke: var(--rule); stroke-width: .5; }
.diagonal { stroke: var(--soft); stroke-dasharray: 4 3; }
.boundary { stroke: var(--boundary); stroke-width: 1.5; }
.limit { stroke: var(--bad); stroke-dasharray: 6 4; stroke-width: 1.5; }
.mark { fill-opacity: .75; stroke-width: 1.2; }
.group0 { fill: var(--group0); stroke: var(--group0); }
.group1 { fill: var(--group1); stroke: var(--group1); }
.group2 { fill: var(--group2); stroke: var(--group2); }
.group3 { fill: var(--group3); stroke: var(--group3); }
.plain { stroke: var(--soft); }
.mark.extreme { fill: none; }
.mark.flipped { fill: var(--bad); stroke: var(--back); fill-opacity: 1; }
.flip { stroke: var(--bad); stroke-width: 2; }
.flip.head { fill: var(--bad); stroke: none; }
.bar.lowered { fill: var(--lowered); }
.bar.kept { fill: var(--kept); }
@media (max-width: 40rem) {
  .measures, .measures tbody { display: block; }
  .measures thead { position: absolute; clip-path: inset(50%); }
  .measures tr { display: grid; grid-template-columns: repeat(4, 1fr); padding: .35rem 0; }
  .measures tr { border-bottom: 1px solid var(--rule); }
  .measures th, .measures td { border: 0; padding: 0 .25rem 0 0; text-align: left; }
  .measures tbody th { grid-row: 1; grid-column: 1 / span 2; position: static; font-weight: 600; }
  .measures td.limit { grid-row: 1; grid-column: 3 / span 2; text-align: right; }
  .measures td::before {
    content: attr(data-column); display: block; font-size: .75rem; font-weight: 400;
    color: var(--soft);
  }
  .measures tr:has(.limit:empty) th { grid-column: 1 / -1; }
  .measures td.limit::before { content: attr(data-column) " "; display: inline; }
  .measures td.limit:empty::before { content: none; }
  svg.wide text { font-size: 22px; }
  svg.wide .mark { stroke-width: 2; }
  svg.wide .mark { transform: scale(1.6); transform-box: fill-box; transform-origin: center; }
}
@media print {
  section { break-inside: avoid; }
}
"""
