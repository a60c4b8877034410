// Fetches the calibration table, without which readings are bare numbers, from the first mirror with a sound copy.
//
// An attempt asks one mirror and takes what comes:
//   exit 65  the copy is damaged. It goes to quarantine, and that mirror is not asked again
//   exit 75  the mirror has no token left for us: later
//   exit 69  no mirror is left: trying again is pointless
// `errors:` in .forge/settings.yaml gives these ends their classes, `retry:` in the plan says how patient to be with each.

import fs from 'node:fs';
import { data, fail, read, readJson, report, sha256, shipped, write } from './lib.mjs';

const attempt = Number(process.env.FORGE_ATTEMPT_NUMBER ?? 1);
const lastError = JSON.parse(process.env.FORGE_LAST_ERROR || 'null');
if (lastError !== null) console.log(`attempt ${attempt}; the last one ended in ${lastError.class}`);

const quarantined = (mirror) => report('quarantine', `${mirror}.json`);
const mirror = fs
  .readdirSync(shipped('mirrors'))
  .sort()
  .find((name) => !fs.existsSync(quarantined(name)));
if (mirror === undefined) end(69, 'all have given out damaged copies; remove forge-report/quarantine to ask them again');

takeToken(shipped('mirrors', mirror, 'bucket.json'));
const copy = read(shipped('mirrors', mirror, 'calibration.json'));
const wanted = read(shipped('calibration.sha256')).slice(0, 64);
if (sha256(copy) !== wanted) {
  write(quarantined(mirror), copy);
  end(65, `checksum mismatch: wanted ${wanted.slice(0, 12)}…, got ${sha256(copy).slice(0, 12)}…`);
}
write(data('calibration'), copy);
end(0, 'sound copy');

/** A token bucket, shared by all visitors: it is filled by one token every `refill_ms`, from the first visit on. */
function takeToken(file) {
  if (!fs.existsSync(file)) return;
  const bucket = readJson(file);
  const now = Date.now();
  const tokens = bucket.tokens + Math.floor((now - (bucket.counted_at ?? now)) / bucket.refill_ms);
  write(file, { ...bucket, tokens: Math.max(0, tokens - 1), counted_at: now });
  if (tokens < 1) end(75, `too many requests: the next token comes in ${bucket.refill_ms} ms`);
}

/** The report tells how the table was come by, so every attempt leaves a line. */
function end(exitCode, outcome) {
  fs.mkdirSync(report('data'), { recursive: true });
  fs.appendFileSync(report('data', 'fetches.jsonl'), `${JSON.stringify({ attempt, mirror: mirror ?? null, outcome })}\n`);
  if (exitCode !== 0) fail(exitCode, `${mirror ?? 'no mirror'}: ${outcome}`);
  console.log(`${mirror}: ${outcome}`);
}
