/**
 * Finds in the end of a command's output the line that says what went wrong. Tools end in other lines: stack frames, where the full log
 * is, that a command below them has failed. Pure.
 */

import { once } from '../../lib/once.ts';

// Patterns are read when they are made, and most commands need none of these.

/** What a line may say without saying what is wrong. It counts only where nothing else does. */
const SAYS_NOTHING = once((): readonly RegExp[] => [
  // Nothing but marks: a rule, a bracket, an underline; a line of source under a compiler's message.
  /^[^\p{L}\p{N}]*$/u,
  /^\s*\d*\s*[|│]/,
  /^\s+-->\s/,
  // Frames of stacks: JavaScript, Java, C#; Ruby; Go; Rust.
  /^\s+at\s/,
  /^\s+\.{3} \d+ (?:more|lines)/,
  /^\s+from \S+:\d+:in /,
  /^goroutine \d+ \[/,
  /^\s+\S+\.go:\d+(?: \+0x|$)/,
  /^(?:stack backtrace:|\s+\d+: \S+::)/,
  // How a command below has ended.
  /^Node\.js v\d/,
  /^error\[INTERRUPTED\]: /,
  /^(?:make|gmake)(?:\[\d+\])?: (?:\*\*\* \[.*\] Error \d+|Target .* not remade|(?:Entering|Leaving) directory|\*\*\* Waiting for unfinished jobs)/,
  /^ninja: build stopped: subcommand failed/,
  /^(?:exit status \d+|FAIL|FAIL\t.*|ok {2}\t.*)$/,
  /^(?:compilation terminated\.|collect2: error: ld returned|\d+ (?:errors?|warnings?)(?: and .*)? generated\.)/,
  /^(?:error: could not compile|error: aborting due to|error: test failed|error: process didn't exit successfully)/,
  /^(?:warning: build failed|test result: FAILED|error: (?:script|recipe) .* (?:exited|failed).*code)/i,
  /^(?:error Command failed with exit code|.?ELIFECYCLE)/,
  /^npm (?:error|ERR!)\s*(?:code|errno|path|syscall|command|signal|workspace|location|cwd|dest|file)\b/,
  /^npm (?:error|ERR!)\s*(?:$|Lifecycle script|Exit status|Failed at the|This is probably not|\S+@\S+ [\w:-]+: `)/,
  // What was run, and what is not an error.
  /^> /,
  /^npm (?:warn|notice)\b/i,
  /^\(node:\d+\)|^\(Use `node /,
  // Hints.
  /^(?:hint|note|help|info): |^info Visit /i,
  /^\s+= (?:note|help):/,
  /\bnote: each undeclared identifier/,
  /^\s+go (?:get|install|mod|work) /,
  /^\[notice\] |^Note that in CI environments /,
  /^(?:Please make sure you have the correct access rights|and the repository exists\.)$/,
  /^\s+Is the server running /,
  /^fatal: failed to write commit object$/,
  /^(?:for (?:more|further|full|additional) |(?:re-?)?run (?:with |['"`])|try ['"`]|see (?:https?:|['"`]|the |also )|use ['"`]|to see |usage: )/i,
  // Where a log is.
  /\blogs?\b.*\b(?:can be found|(?:written|saved|available) (?:to|in|at))\b/i,
  /^\W*(?:the |a )?(?:(?:complete|full|detailed|debug) )?logs?(?: files?)?(?::|(?: (?:is|are|at|in)\b){1,2}) *\S*\/\S+$/i,
  /^(?:npm (?:error|ERR!))?\s*\S*\/\S*\.log\.?$/,
]);

interface Tool {
  /** A line of its end: the last one that says something, or one behind it. */
  ends: RegExp;
  /** The line to show; of several patterns the first that is found. A group: only that part. Spans lines where the message follows. */
  says: readonly RegExp[];
  /** Which of several. Default: the first, from which the others often follow. */
  last?: true;
}

const NAMED_ERROR = /^[ \t]*((?:Uncaught )?[\w.$]*(?:Error|Exception|Rejection)\b.*)$/gm;
const CRASH = /^((?:Uncaught )?[\w.$]*(?:Error|Exception|Rejection)\b.*)$/gm;

/** Tools that say more behind their error, in the order in which they are looked for. */
const TOOLS = once(
  (): Readonly<Record<string, Tool>> => ({
    node: {
      ends: /^Node\.js v\d/,
      says: [/(The promise rejected with the reason ".+"\.)\]?(?: \{)?$/gm, CRASH],
      last: true,
    },
    'heap of node': { ends: /^ *\d+: 0x/, says: [/^(FATAL ERROR: .+)$/gm] },
    npm: { ends: /^npm (?:error|ERR!)/, says: [/^npm (?:error|ERR!) +(.+)$/gm] },
    pytest: {
      ends: /^=*\s*(?:\d+ \w+, )*\d+ (?:failed|errors?)\b.* in [\d.]+s/,
      says: [/^((?:FAILED|ERROR) .+ - .+)$/gm, /^E {2,}(.+)$/gm, /^((?:FAILED|ERROR) .+)$/gm],
    },
    'coverage of pytest': { ends: /^=*\s*\d+ passed\b.* in [\d.]+s/, says: [/^((?:FAIL|ERROR:?) .+)$/gm] },
    'usage of pytest': { ends: /^ +rootdir: /, says: [/^\S+: (error: .+)$/gm] },
    unittest: { ends: /^FAILED \((?:failures|errors)=/, says: [NAMED_ERROR] },
    tsc: { ends: /^Found \d+ errors?\b|\berror TS\d+: /, says: [/^(.*\berror TS\d+: .+)$/gm] },
    eslint: { ends: /^✖ \d+ problem|potentially fixable with/, says: [/^ +(\d+:\d+ +error +.+)$/gm] },
    cargo: {
      ends: /^error\b|^note: (?:run with|Some details)|^test result: FAILED/,
      says: [/^thread .* panicked at .*:\n(.+)$/gm, /^(thread .* panicked at .+)$/gm, /^(error(?:\[E\d+\])?: .+)$/gm],
    },
    compiler: {
      ends: /:\d+: (?:fatal )?error: |^collect2: /,
      says: [/^(.*:\d+: (?:fatal )?error: .+)$/gm, /^(.*undefined reference to .+)$/gm],
    },
    go: {
      ends: /^FAIL\b|^exit status \d+$|^\s+\S+\.go:\d+(?: \+0x|$)|^\S+\.go:\d+:\d+: |^too many errors$/,
      says: [
        /^((?:panic|fatal error): .+)$/gm,
        /^\s+(\S+_test\.go:\d+: \S.*)$/gm,
        /^\s+Error:\s+(.+)$/gm,
        /^(\S+\.go:\d+:\d+: .+)$/gm,
      ],
    },
    tap: { ends: /^# duration_ms /, says: [/^ +error: (?:\|-\n +)?'?(.+?)'?$/gm] },
    'node:test': { ends: /^ℹ duration_ms |^ +\d+: /, says: [NAMED_ERROR] },
    jest: { ends: /^(?:Ran all test suites|Time: )/, says: [/^ +● .+\n +(.+)$/gm, NAMED_ERROR] },
    vitest: { ends: /^ +Duration |^⎯+/, says: [NAMED_ERROR] },
  }),
);

/** What Node prints of an error's own fields behind its stack. */
const FIELDS = /^( +at .*) \{\n(?: .*\n)*\}$/gm;

/** An error of forge, and a hint, over several lines. */
const WRAPPED = /^(?:error\[[A-Z_]+\]|hint): .*(?:\n {6,}\S.*)+/gm;

/** What is looked at: the end of an output, and the beginning of a line. Patterns may take time in proportion to its square. Characters. */
const MOST = { output: 16 * 1024, line: 500 };

/**
 * The line of a command's output that says what is wrong, trimmed; empty where there is no output. `outputs`: the end of each stream,
 * as `outputText` makes it, that for errors first; so what is on stdout counts where stderr has nothing but hints.
 */
export function errorLine(outputs: readonly string[]): string {
  const streams = outputs.map(readStream).filter(({ lines }) => lines.length > 0);
  for (const stream of streams) {
    const said = toolLine(stream);
    if (said !== null) return said;
  }
  const plain = streams.find(({ telling }) => telling.length > 0);
  return (plain?.telling.at(-1) ?? streams[0]?.lines.at(-1) ?? '').trim();
}

interface Stream {
  /** Those that are not blank. */
  lines: string[];
  /** Those that say something. */
  telling: string[];
}

function readStream(output: string): Stream {
  const lines = output
    .slice(-MOST.output)
    .replace(FIELDS, '$1')
    .replace(WRAPPED, (lines) => lines.replace(/\n +/g, ' '))
    .split('\n')
    .flatMap((line) => (line.trim() === '' ? [] : [line.slice(0, MOST.line)]));
  return { lines, telling: lines.filter((line) => !saysNothing(line)) };
}

const saysNothing = (line: string): boolean => SAYS_NOTHING().some((pattern) => pattern.test(line));

/** What the tool that has spoken last says; null where it is none that is known, or what it says is not there. */
function toolLine({ lines, telling }: Stream): string | null {
  const last = telling.at(-1);
  const end = last === undefined ? lines : lines.slice(lines.lastIndexOf(last));
  const text = lines.join('\n');
  for (const tool of Object.values(TOOLS())) {
    if (!end.some((line) => tool.ends.test(line))) continue;
    for (const pattern of tool.says) {
      const found = [...text.matchAll(pattern)].filter(([line]) => !saysNothing(line));
      const match = tool.last === true ? found.at(-1) : found[0];
      if (match !== undefined) return (match[1] ?? match[0]).trim();
    }
  }
  return null;
}
