// Draws the fifteen days as one picture: above the water as it was on the tide as it should have been, below what the
// weather added. The file stands alone, follows the reader's light or dark theme, and shows each high water on hover.

import { data, HOUR, metres, minute, readJson, report, write } from './lib.mjs';

const { series, surge } = readJson(data('tide'));
const { waters, highest } = readJson(data('waters'));

const WIDTH = 1120;
const [LEFT, RIGHT] = [52, 1100];
const start = series[0].t;
const days = Math.ceil((series.at(-1).t - start) / (24 * HOUR));
const x = (t) => round(LEFT + ((t - start) / (days * 24 * HOUR)) * (RIGHT - LEFT));
/** A panel shows metres from `low` to `high` between two heights of the picture. */
const panel = (top, bottom, low, high) => ({ top, bottom, low, y: (m) => round(bottom - ((m - low) / (high - low)) * (bottom - top)) });
const level = panel(48, 388, -3, 3.4);
const weather = panel(440, 540, -0.4, 1);

const path = (points, y) => points.map(({ t, m }, i) => `${i === 0 ? 'M' : 'L'}${x(t)} ${y(m)}`).join('');
const area = (points, { y, low }, base = low) => `${path(points, y)}L${x(points.at(-1).t)} ${y(base)}L${x(points[0].t)} ${y(base)}Z`;
const line = (of) => series.map((reading) => ({ t: reading.t, m: reading[of] }));
const stormy = series.map(({ t, weather: m }) => ({ t, m: Math.max(0, m) }));

const midnights = Array.from({ length: days }, (_, i) => start + i * 24 * HOUR);
const borrowed = series.filter(({ from }) => from === 'breakwater');

write(
  report('tide.svg'),
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} 580" role="img" aria-label="Water level at the pier over ${days} days, and what the weather added">
<style>
svg { --ink: #17324d; --faint: #17324d22; --band: #17324d0a; --sea: #4a90c2; --storm: #d1495b; --other: #e09f3e; font: 12px system-ui, sans-serif }
@media (prefers-color-scheme: dark) { svg { --ink: #dbe7f3; --faint: #dbe7f333; --band: #dbe7f30d; --sea: #3f7fae; --storm: #ff6b7d; --other: #f2b95a } }
text { fill: var(--ink) } .head { font-weight: 600; font-size: 14px } .end { text-anchor: end } .mid { text-anchor: middle }
.band { fill: var(--band) } .grid { stroke: var(--faint) } .tide { fill: var(--sea); opacity: .35 } .water { fill: none; stroke: var(--ink); stroke-width: 1.3 }
.high { fill: var(--sea) } .top, .storm { fill: var(--storm) } .other { fill: var(--other) } .callout { fill: var(--storm); font-weight: 600 }
</style>
${midnights.map(day).join('\n')}
${[-2, -1, 0, 1, 2, 3].map((m) => rule(level, m)).join('\n')}
<text class="head" x="${LEFT}" y="24">Water level at the pier, metres above mean sea level</text>
<path class="tide" d="${area(line('tide'), level)}"/>
<path class="water" d="${path(line('level'), level.y)}"/>
${borrowed.map(({ t, level: m }) => `<circle class="other" cx="${x(t)}" cy="${level.y(m)}" r="1.8"/>`).join('')}
${waters.filter(({ kind }) => kind === 'high').map(high).join('\n')}
<text class="callout mid" x="${x(highest.t)}" y="${level.y(highest.level) - 10}">${metres(highest.level)}</text>
${[0, 0.5, 1].map((m) => rule(weather, m)).join('\n')}
<text class="head" x="${LEFT}" y="428">What the weather added, metres</text>
<path class="storm" d="${area(stormy, weather, 0)}"/>
<path class="water" d="${path(line('weather'), weather.y)}"/>
<text class="callout" x="${x(surge.t) + 26}" y="${weather.y(surge.weather) + 6}">storm surge ${metres(surge.weather)}</text>
<g transform="translate(${LEFT} 568)"><rect class="tide" width="16" height="10" y="-9"/><text x="22">tide, from four waves of moon and sun</text>
<path class="water" d="M300 -4h16"/><text x="322">as measured</text><circle class="other" cx="440" cy="-4" r="3"/><text x="450">filled from the breakwater</text>
<circle class="high" cx="660" cy="-4" r="3"/><text x="670">high water</text></g>
</svg>
`,
);
console.log(`${report('tide.svg')}: ${series.length} readings over ${days} days`);

function day(t, i) {
  const [from, to] = [x(t), x(t + 24 * HOUR)];
  const band = i % 2 === 0 ? `<rect class="band" x="${from}" y="${level.top}" width="${round(to - from)}" height="${weather.bottom - level.top}"/>` : '';
  return `${band}<text class="mid" x="${round((from + to) / 2)}" y="${level.bottom + 16}">${minute(t).slice(5, 10)}</text>`;
}

function rule({ y }, m) {
  return `<path class="grid" d="M${LEFT} ${y(m)}H${RIGHT}"/><text class="end" x="${LEFT - 8}" y="${y(m) + 4}">${String(m).replace('-', '−')}</text>`;
}

function high({ t, level: m }) {
  const kind = t === highest.t ? 'top' : 'high';
  return `<circle class="${kind}" cx="${x(t)}" cy="${level.y(m)}" r="3"><title>${minute(t)}  ${metres(m)}</title></circle>`;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
