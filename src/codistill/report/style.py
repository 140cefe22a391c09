"""The page's looks and its one script: light and dark, wide and narrow, screen and paper."""

CSS = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #59636e; --page: #ffffff; --card: #f5f7f9;
  --line: #d9dee3; --grid: #e4e8ec; --gain: #006b4f; --loss: #a63c00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #a2acb6; --page: #14181c;
  --card: #1d2329;
  --line: #39424b; --grid: #2c343c; --gain: #4fcf9f; --loss: #ff9a5c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 2rem 1.25rem 4rem; background: var(--page);
  color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--line); }
.lead { font-size: 1.06rem; max-width: 54rem; margin: 0; }
small { color: var(--soft); font-size: .82em; font-weight: normal; }
code, pre { font: .9em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--card); padding: .7rem .9rem; border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .5rem; }
th, td { padding: .45rem .6rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line);
  }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { vertical-align: bottom; font-size: .85rem; line-height: 1.3; border-bottom: 2px solid var(--soft);
  }
tbody th { font-weight: 600; }
.results small { display: block; line-height: 1.35; }
.results td { white-space: nowrap; }
.results code { overflow-wrap: anywhere; }
.results tbody th { min-width: 12.5rem; }
.results .verdict { text-align: left; white-space: normal; min-width: 9rem; font-size: .9rem; }
.results thead th:last-child { text-align: left; }
.gain .verdict b { color: var(--gain); }
.loss .verdict b { color: var(--loss); }
.unclear .verdict b, .none .verdict b, .baseline .verdict b { color: var(--soft); }
.footnotes { color: var(--soft); font-size: .88rem; max-width: 56rem; padding-left: 1.1rem;
  margin-top: .9rem; }
.footnotes li { margin-bottom: .2rem; }
.findings { max-width: 62rem; padding-left: 1.1rem; }
.findings li { margin-bottom: .5rem; }
.findings .warning b { color: var(--loss); }
.read { max-width: 62rem; }
.read p { margin: .2rem 0; }
.measures td small, .measures td span { display: block; white-space: nowrap; }
.measures tbody th { text-align: left; min-width: 9rem; }
figure { margin: 1.5rem 0 2.5rem; break-inside: avoid; }
figure h3 { margin: 0 0 .1rem; font-size: 1.02rem; }
figcaption { color: var(--soft); font-size: .92rem; max-width: 56rem; margin-bottom: .6rem; }
.plot { width: 100%; }
.plot .main-svg { background: transparent !important; }
.plot [class*="tick"] text, .plot .legendtext { fill: var(--ink) !important; }
.plot .g-xtitle text, .plot .g-ytitle text, .plot [class$="title"] { fill: var(--soft) !important; }
.plot .gridlayer path { stroke: var(--grid) !important; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .25rem 1.25rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere;
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: .9em; }
summary { cursor: pointer; }
.scroll { overflow-x: auto; margin-top: .8rem; }
.raw { font-size: .85rem; }
.raw th, .raw td { padding: .2rem .6rem; white-space: nowrap; }
details { margin-top: 2.5rem; }
@media screen and (max-width: 60rem) {
  .results, .results caption, .results tbody, .results tr, .results th, .results td { display: block; }
  .results thead { display: none; }
  .results tr { background: var(--card); border-radius: 8px; padding: .7rem .9rem; margin-bottom: .8rem; }
  .results tbody th { min-width: 0; border: 0; padding: 0 0 .35rem; text-align: left; }
  .results td { display: flex; justify-content: space-between; gap: 1rem; padding: .25rem 0;
    border-bottom: 1px solid var(--line); }
  .results td:last-child { border: 0; }
  .results td::before { content: attr(data-label); color: var(--soft); white-space: pre-line;
    text-align: left; line-height: 1.35; font-size: .92em; }
  .results .verdict { text-align: right; }
}
@media screen and (max-width: 60rem) and (min-width: 40rem) {
  .results tbody { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; }
  .results tr { margin: 0; }
}
@media (max-width: 40rem) { body { padding: 1.25rem 1rem 3rem; } h1 { font-size: 1.4rem; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; } }
@media print { :root { --ink: #000; --soft: #444; --page: #fff; --card: #f5f5f5; --line: #bbb; --grid: #ddd;
    --gain: #00543e; --loss: #8a3200; }
  body { max-width: none; padding: 0; font-size: 9.5pt; } .results { font-size: 8pt; }
  .results th, .results td { padding: .25rem .3rem; } .results .verdict { min-width: 6rem; font-size: 8pt; }
  .results tbody th { min-width: 0; }
  figure { margin: .6rem 0; } .modebar-container { display: none; } .results thead th { font-size: 7.5pt; }
  h2 { break-after: avoid; } tr, .lead { break-inside: avoid; } }
"""

# Figures stand as data beside their place; on paper they are drawn to the width of a page.
JS = """
const places = [...document.querySelectorAll('.plot')];
for (const place of places) {
  const figure = JSON.parse(document.getElementById(place.id + '-data').textContent);
  Plotly.newPlot(place, figure.data, figure.layout,
    {responsive: true, displaylogo: false, modeBarButtons: [['toImage', 'resetScale2d']]});
}
addEventListener('beforeprint', () => places.forEach(p => Plotly.relayout(p, {autosize: false, width: 680})));
addEventListener('afterprint', () => places.forEach(p => Plotly.relayout(p, {autosize: true, width: null})));
"""
