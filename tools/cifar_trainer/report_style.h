#pragma once

/// How a report looks: on a screen that is light or dark, on a phone, and on paper. The colours of lines are
/// those of Okabe and Ito (https://jfly.uni-koeln.de/color), which people see apart whatever they see of
/// colours, darker on white.
namespace fovea::cli {

inline constexpr const char* kReportStyle = R"(
:root { color-scheme: light dark; --page: #fff; --text: #1c2126; --soft: #5a646e; --rule: #dde2e7;
  --card: #f5f7f9; --right: 0 114 178; --wrong: 213 94 0;
  --c0: #0072b2; --c1: #c04f00; --c2: #00805e; --c3: #a3497d; --c4: #8a6d00; --c5: #2b86bd; --c6: #6b4fa0;
  --c7: #4a5058; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12161b; --text: #e4e8ec; --soft: #9ba6b1; --rule: #2c343d; --card: #1a2027;
    --right: 86 180 233; --wrong: 240 138 74;
    --c0: #56b4e9; --c1: #f08a4a; --c2: #2ec79c; --c3: #e39ac2; --c4: #e6c34a; --c5: #8fd0f5; --c6: #b7a0e8;
    --c7: #c3cad1; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; }
p { margin: .25rem 0 .75rem; max-width: 46rem; }
.soft, figcaption small { color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0 0; }
.cards div { background: var(--card); border-radius: .5rem; padding: .7rem .9rem; }
.cards dt { color: var(--soft); font-size: .82rem; }
.cards dd { margin: 0; font-size: 1.45rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.cards small { display: block; color: var(--soft); font-size: .78rem; font-weight: 400; }
.cards .first { background: rgb(var(--right) / .14); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; font-size: .95rem; margin-bottom: .25rem; }
svg.chart { width: 100%; height: auto; display: block; font-size: 13px; }
svg text { fill: var(--soft); }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .faint polyline { stroke-width: 1; opacity: .55; }
svg .name { font-weight: 600; paint-order: stroke; stroke: var(--page); stroke-width: 5px; stroke-linejoin: round; }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); } .s3 { stroke: var(--c3); }
.s4 { stroke: var(--c4); } .s5 { stroke: var(--c5); } .s6 { stroke: var(--c6); } .s7 { stroke: var(--c7); }
svg circle { fill: var(--page); stroke-width: 2; }
.swatch { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem; margin-right: .45rem; }
.b0 { background: var(--c0); } .b1 { background: var(--c1); } .b2 { background: var(--c2); }
.b3 { background: var(--c3); } .b4 { background: var(--c4); } .b5 { background: var(--c5); }
.b6 { background: var(--c6); } .b7 { background: var(--c7); }
svg .n0 { fill: var(--c0); } svg .n1 { fill: var(--c1); } svg .n2 { fill: var(--c2); } svg .n3 { fill: var(--c3); }
svg .n4 { fill: var(--c4); } svg .n5 { fill: var(--c5); } svg .n6 { fill: var(--c6); } svg .n7 { fill: var(--c7); }
.scroll { overflow: auto; } .scroll.long { max-height: 32rem; }
.scroll:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--rule);
  vertical-align: baseline; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; }
td.number, .matrix td { white-space: nowrap; overflow-wrap: normal; }
thead th { color: var(--soft); font-weight: 500; position: sticky; top: 0; background: var(--page); }
tbody th { font-weight: 500; }
.changed { font-weight: 600; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2.5rem;
  align-items: start; }
.columns.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 31rem), 1fr)); }
.columns > div { min-width: 0; } .columns table { width: 100%; } .columns table.matrix { width: auto; }
.columns h3 { font-size: .95rem; margin: 1rem 0 .25rem; }
.matrix td, .matrix th { padding: .3rem .4rem; border: 1px solid var(--page); text-align: right; }
.matrix td { min-width: 2.5rem; } caption { text-align: left; font-size: .82rem; padding-bottom: .3rem; }
.matrix td.right { background: rgb(var(--right) / calc(.75 * var(--part))); }
.matrix td.wrong { background: rgb(var(--wrong) / calc(.75 * var(--part))); }
.matrix thead th { vertical-align: bottom; }
.matrix thead th span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
.meter { display: inline-block; width: 6.5rem; height: .6rem; background: var(--rule); border-radius: .3rem;
  overflow: hidden; }
.meter span { display: block; height: 100%; background: var(--c0); }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); gap: 1rem .75rem;
  list-style: none; margin: 0; padding: 0; }
.pictures li { font-size: .82rem; line-height: 1.35; }
.pictures img, .masks img { width: 100%; aspect-ratio: 1; border-radius: .3rem; image-rendering: pixelated;
  display: block; }
.masks img { width: 6rem; }
.masks td, .masks th { border: 0; padding: .25rem .6rem .25rem 0; vertical-align: top; }
.masks small { display: block; color: var(--soft); font-weight: 400; }
.matrix-picture { width: min(100%, 34rem); height: auto; image-rendering: pixelated; display: block; }
pre { background: var(--card); border-radius: .5rem; padding: .8rem 1rem; font-size: .85rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) { main { padding: 1.25rem 1rem 3rem; } .cards dd { font-size: 1.25rem; }
  .cards { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); }
  .pictures { grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); } .masks img { width: 4.2rem; }
  svg.chart { font-size: 15px; } }
@media print {
  :root { color-scheme: light; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; }
  .scroll.long { max-height: none; } .scroll { overflow: visible; } thead th { position: static; }
  figure, tr, li, .cards div { break-inside: avoid; } h2 { break-after: avoid; }
  .charts { grid-template-columns: 1fr 1fr; } .cards div, pre { border: 1px solid var(--rule); }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
)";

}  // namespace fovea::cli
