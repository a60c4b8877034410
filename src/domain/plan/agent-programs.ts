/** Programs of coding agents by their names, and the npm packages of those who make them. Others publish programs of the same names. */

interface Publisher {
  /** The package; null: it is on no registry. */
  package: string | null;
  maker: string;
}

const PUBLISHERS: Readonly<Record<string, Publisher>> = {
  claude: { package: '@anthropic-ai/claude-code', maker: 'Anthropic' },
  codex: { package: '@openai/codex', maker: 'OpenAI' },
  copilot: { package: '@github/copilot', maker: 'GitHub' },
  'cursor-agent': { package: null, maker: 'Cursor' },
  gemini: { package: '@google/gemini-cli', maker: 'Google' },
  opencode: { package: 'opencode-ai', maker: 'OpenCode' },
  qwen: { package: '@qwen-code/qwen-code', maker: 'Qwen' },
};

/** How to get a program: its package where it is known. */
export function installHint(program: string): string {
  const publisher = PUBLISHERS[program];
  if (publisher === undefined) return `Install ${program}`;
  const { package: name, maker } = publisher;
  return name === null ? `Install ${program} as ${maker} says, not from npm` : `Install it: \`npm install -g ${name}\``;
}

/** The maker that `program` is expected from, when a package of this name is another's; else null. */
export function otherMaker(program: string, packageName: string): string | null {
  const publisher = PUBLISHERS[program];
  if (publisher === undefined) return null;
  const { package: own, maker } = publisher;
  // Platforms and nightly versions have packages of their own, in the scope of the maker.
  const scope = own?.startsWith('@') ? `${own.split('/')[0]}/` : null;
  return packageName === own || (scope !== null && packageName.startsWith(scope)) ? null : maker;
}

/** Words before a program that is started all the same. */
const BEFORE_PROGRAMS =
  /^(?:.*\/)?(?:command|env|exec|nice|nohup|setsid|stdbuf|sudo|time|timeout|xargs|if|then|else|while|do|[!{])$/;

/** The agents that a command line calls by name: as the first word of a command, behind variables, `env`, `timeout` and the like. */
export function agentsIn(command: string): string[] {
  // What a variable is set to calls nothing, as far as it is quoted.
  const bare = command.replace(/=(?:"[^"]*"|'[^']*')/g, '=');
  const words = bare.split(/[\n;&|()]+/).map(programOf);
  return [...new Set(words)].filter((word) => Object.hasOwn(PUBLISHERS, word));
}

function programOf(command: string): string {
  let isBehind = false;
  for (const word of command.trim().split(/\s+/)) {
    const isOption = isBehind && /^[-\d]/.test(word);
    if (isOption || /^\w+=/.test(word)) continue;
    if (!BEFORE_PROGRAMS.test(word)) return word.replace(/^(["'])(.*)\1$/, '$2');
    isBehind = true;
  }
  return '';
}
