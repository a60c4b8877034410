// Puts the pieces together: forge-report/index.html, one file with the chart in it, and summary.txt for a terminal.

import { data, metres, minute, read, readJson, report, write } from './lib.mjs';

const faults = readJson(data('faults'));
const gauges = Object.keys(faults).map((name) => ({ ...faults[name], ...readJson(data(name)) }));
const { clock, filled } = readJson(data('levels'));
const { waves, surge } = readJson(data('tide'));
const { highest, lowest, waters, ranges } = readJson(data('waters'));
const { station, datum } = readJson(data('calibration'));
const fetches = read(report('data', 'fetches.jsonl')).trim().split('\n').map((line) => JSON.parse(line));

const byRange = ranges.toSorted((a, b) => a.range_m - b.range_m);
const sum = (of) => gauges.reduce((total, gauge) => total + of(gauge), 0);
const period = `${ranges[0].day} to ${ranges.at(-1).day}`;

/** Each as [name, value, what it is]; the name is how proofread.mjs finds it in the page. */
const figures = [
  ['highest', metres(highest.level), `highest water, ${minute(highest.t)}`],
  ['lowest', metres(lowest.level), `lowest water, ${minute(lowest.t)}`],
  ['surge', metres(surge.weather), `added by the storm, ${minute(surge.t)}`],
  ['spring', metres(byRange.at(-1).range_m), `from low to high water at springs, ${byRange.at(-1).day}`],
  ['neap', metres(byRange[0].range_m), `and at neaps, ${byRange[0].day}`],
  ['clock', `${clock.error_min} min`, 'is the clock of the breakwater fast'],
  ['lines', String(sum((gauge) => gauge.lines)), 'lines of raw readings'],
  ['used', String(sum((gauge) => gauge.series.length)), 'readings good enough to use'],
];

write(report('index.html'), page());
write(report('summary.txt'), summary());
console.log(summary());

function page() {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The tide at ${html(station)}</title>
<style>
:root { color-scheme: light dark; --ink: #17324d; --paper: #fbfaf6; --card: #fff; --line: #17324d22 }
@media (prefers-color-scheme: dark) { :root { --ink: #dbe7f3; --paper: #0f1b28; --card: #16273a; --line: #dbe7f333 } }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 2rem } h2 { margin: 2.5rem 0 .75rem; font-size: 1.2rem } .lead { margin: .25rem 0 2rem; opacity: .8 }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: 1rem } dl div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem }
dt { font-size: .85rem; opacity: .8 } dd { margin: 0; font-size: 1.7rem; font-weight: 600; font-variant-numeric: tabular-nums }
dl div { display: flex; flex-direction: column-reverse; justify-content: flex-end } figure { margin: 0; overflow-x: auto } svg { width: 100%; min-width: 44rem; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } th, td { padding: .35rem 1.25rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
footer { margin-top: 3rem; font-size: .85rem; opacity: .7 }
</style>
</head>
<body>
<h1>The tide at ${html(station)}</h1>
<p class="lead">${period}. Levels are ${html(datum)}, times are UTC.</p>
<dl>
${figures.map(([name, value, label]) => `<div><dt>${label}</dt><dd data-figure="${name}">${value}</dd></div>`).join('\n')}
</dl>
<h2>Fifteen days of water</h2>
<figure>${read(report('tide.svg'))}</figure>
<h2>What moves it</h2>
${table(['wave', 'made by', 'period', 'height above the mean'], waves.map((w) => [w.name, w.cause, `${w.period_h.toFixed(2)} h`, metres(w.amplitude_m)]))}
<h2>The five highest waters</h2>
${table(['when', 'level'], fiveHighest().map(({ t, level }) => [minute(t), metres(level)]))}
<h2>What was wrong with the readings</h2>
${table(['gauge', 'lines', 'garbled', 'lost', 'repeated', 'late', 'spikes', 'used'], gauges.map(faultRow))}
<p>${filled} half-hours without a good reading at the pier were filled from the breakwater, whose clock was set right by ${clock.error_min} minutes:
the two then differ by ${(clock.rms_after_m * 100).toFixed(1)} cm instead of ${(clock.rms_before_m * 100).toFixed(1)} cm.</p>
<h2>How the calibration table was come by</h2>
${table(['attempt', 'mirror', 'outcome'], fetches.map(({ attempt, mirror, outcome }) => [attempt, mirror, outcome]))}
<footer>Every piece was made by a task of .forge/plans/phases.yaml; SHA256SUMS lists the files.</footer>
</body>
</html>
`;
}

function fiveHighest() {
  const high = waters.filter(({ kind }) => kind === 'high');
  return high.sort((a, b) => b.level - a.level).slice(0, 5);
}

function faultRow({ gauge, lines, faults, spikes, series }) {
  return [gauge, lines, ...Object.values(faults).map((at) => at.length), spikes.length, series.length];
}

function table(head, rows) {
  const row = (cells, tag) => `<tr>${cells.map((cell) => `<${tag}>${html(cell)}</${tag}>`).join('')}</tr>`;
  return `<table>\n<thead>${row(head, 'th')}</thead>\n<tbody>\n${rows.map((cells) => row(cells, 'td')).join('\n')}\n</tbody>\n</table>`;
}

function html(value) {
  return String(value).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function summary() {
  const bars = ranges.map(({ range_m }) => '▁▂▃▄▅▆▇█'[Math.round(((range_m - byRange[0].range_m) / (byRange.at(-1).range_m - byRange[0].range_m)) * 7)]);
  return [
    `The tide at ${station}, ${period}`,
    '',
    `  range by day  ${bars.join('')}  ${metres(byRange[0].range_m)} to ${metres(byRange.at(-1).range_m)}`,
    ...figures.map(([, value, label]) => `  ${value.padStart(12)}  ${label}`),
    '',
  ].join('\n');
}
