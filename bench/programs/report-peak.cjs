/** Preloaded into a process: leaves its peak resident memory, KiB, in the file that BENCH_PEAK_FILE names. */

const fs = require('node:fs');

/** On Linux what getrusage tells may be the peak of the process that started this one, from before exec. */
function peakKib() {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS;
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1]);
}

process.on('exit', () => fs.writeFileSync(process.env.BENCH_PEAK_FILE, String(peakKib())));
