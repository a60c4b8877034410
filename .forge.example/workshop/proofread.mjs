// Reads the finished report as a stranger would: do its figures agree with the raw readings, and is it in one piece?
// Leaves a verdict, which is how a worker tells forge more than an exit code can.

import { data, HOUR, metres, minute, read, readJson, report, shipped, write } from './lib.mjs';

const page = read(report('index.html'));
const figure = (name) => new RegExp(`data-figure="${name}">([^<]+)<`).exec(page)?.[1];
const { waters, highest } = readJson(data('waters'));
const { pier } = readJson(data('calibration')).gauges;

const lines = (file) => read(shipped('raw', file)).trimEnd().split('\n');
const [pierLines, breakwaterLines] = [lines('pier-2025-03.csv').slice(1), lines('breakwater-2025-03.jsonl')];
const [day, time] = [minute(highest.t).slice(8, 10), minute(highest.t).slice(11)];
const writtenDown = pierLines.find((line) => line.startsWith(`${day},${time},`))?.split(',')[2];
const tags = (pattern) => page.match(pattern)?.length ?? 0;

const checks = {
  'every raw line is counted': figure('lines') === String(pierLines.length + breakwaterLines.length),
  'the highest water is what the pier wrote down':
    figure('highest') === metres(Number(writtenDown) * pier.metres_per_unit + pier.zero_m),
  'high and low water take turns': waters.every(({ kind }, i) => kind !== waters[i + 1]?.kind),
  'it takes four to eight hours from one to the other': waters.every(({ t }, i) => {
    const hours = ((waters[i + 1]?.t ?? t + 6 * HOUR) - t) / HOUR;
    return hours >= 4 && hours <= 8;
  }),
  'the chart marks every high water': tags(/<circle class="(?:high|top)"[^>]*><title>/g) === waters.filter((w) => w.kind === 'high').length,
  'no value is missing': !/NaN|undefined|null|Infinity/.test(page),
  'every element is closed': ['div', 'table', 'tr', 'td', 'figure', 'svg'].every(
    (tag) => tags(new RegExp(`<${tag}[ >]`, 'g')) === tags(new RegExp(`</${tag}>`, 'g')),
  ),
};

const failed = Object.keys(checks).filter((name) => !checks[name]);
for (const [name, holds] of Object.entries(checks)) console.log(`${holds ? 'ok    ' : 'WRONG '} ${name}`);
const passed = Object.keys(checks).length - failed.length;
const verdict = {
  version: 1,
  verdict: failed.length === 0 ? 'ready_for_review' : 'changes_needed',
  summary: failed.length === 0 ? `all ${passed} checks hold` : `does not hold: ${failed.join('; ')}`,
  tests: { ran: true, passed, failed: failed.length, skipped: 0 },
};
if (process.env.FORGE_VERDICT_FILE) write(process.env.FORGE_VERDICT_FILE, verdict);
else process.exitCode = failed.length === 0 ? 0 : 1;
