/** What is known of an agent's program and login without starting it: the version that forge was tried with, and where logins are kept. Pure. */

import type { Variables } from '../../lib/variables.ts';
import { LOGINS, type PresetAgent } from './known.ts';

interface Account {
  /** The version that its output was recorded with. */
  tried: readonly [major: number, minor: number];
  /** Variables of which one holds a login, or names a service that has it. */
  variables: readonly string[];
  /** Files that a login leaves, each below the folder that a variable names, else below the home folder. */
  files: readonly { below: string; home: string; name: string }[];
}

const ACCOUNTS: Readonly<Record<PresetAgent, Account>> = {
  claude: {
    tried: [2, 1],
    variables: [
      ...['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN'],
      ...['CLAUDE_CODE_USE_BEDROCK', 'CLAUDE_CODE_USE_VERTEX', 'CLAUDE_CODE_USE_FOUNDRY'],
      ...['CLAUDE_CODE_USE_ANTHROPIC_AWS', 'CLAUDE_CODE_USE_MANTLE', 'CLAUDE_CODE_USE_GATEWAY'],
    ],
    files: [{ below: 'CLAUDE_CONFIG_DIR', home: '.claude', name: '.credentials.json' }],
  },
  codex: {
    tried: [0, 171],
    variables: ['CODEX_API_KEY', 'CODEX_ACCESS_TOKEN', 'OPENAI_API_KEY'],
    files: [{ below: 'CODEX_HOME', home: '.codex', name: 'auth.json' }],
  },
  copilot: {
    tried: [1, 0],
    variables: ['COPILOT_GITHUB_TOKEN', 'GH_TOKEN', 'GITHUB_TOKEN'],
    files: [{ below: 'COPILOT_HOME', home: '.copilot', name: 'config.json' }],
  },
  gemini: {
    tried: [0, 61],
    variables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY', 'GOOGLE_GENAI_USE_VERTEXAI', 'GOOGLE_GENAI_USE_GCA'],
    files: [
      { below: 'GEMINI_CLI_HOME', home: '', name: '.gemini/oauth_creds.json' },
      { below: 'GEMINI_CLI_HOME', home: '', name: '.gemini/gemini-credentials.json' },
      { below: 'GEMINI_CLI_HOME', home: '', name: '.gemini/.env' },
    ],
  },
  opencode: {
    tried: [1, 18],
    variables: [
      ...['OPENCODE_API_KEY', 'OPENCODE_AUTH_CONTENT', 'OPENCODE_CONFIG', 'OPENCODE_CONFIG_CONTENT'],
      ...['ANTHROPIC_API_KEY', 'OPENAI_API_KEY', 'GEMINI_API_KEY', 'OPENROUTER_API_KEY'],
    ],
    files: [{ below: 'XDG_DATA_HOME', home: '.local/share', name: 'opencode/auth.json' }],
  },
  qwen: {
    tried: [0, 15],
    variables: ['OPENAI_API_KEY', 'DASHSCOPE_API_KEY'],
    files: [
      { below: 'QWEN_HOME', home: '.qwen', name: 'oauth_creds.json' },
      { below: 'QWEN_HOME', home: '.qwen', name: '.env' },
    ],
  },
};

/** The version that forge was tried with where this one is older; null where it is not, and where it can't be read. */
export function olderThan(agent: PresetAgent, version: string): string | null {
  const [major, minor] = ACCOUNTS[agent].tried;
  const [, first, second] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (first === undefined) return null;
  const isOlder = Number(first) < major || (Number(first) === major && Number(second) < minor);
  return isOlder ? `${major}.${minor}` : null;
}

/** Where an agent has its login: a variable or a file; `missing`: where it has none, in words, and how to log in. */
export function loginOf(
  agent: PresetAgent,
  env: Variables,
  exists: (file: string) => boolean,
): { found: string } | { missing: string; login: string } {
  const { variables, files } = ACCOUNTS[agent];
  const variable = variables.find((name) => (env[name] ?? '') !== '');
  if (variable !== undefined) return { found: variable };
  const places = files.map(({ below, home, name }) => {
    const folder = env[below];
    return [...(folder ? [folder] : ['~', home]), name].filter((part) => part !== '').join('/');
  });
  const file = places.find((place) => exists(place.replace(/^~/, env['HOME'] ?? '')));
  if (file !== undefined) return { found: file };
  const missing = `no login of ${agent} is found: ${variables.join(', ')} are not set, and there is no ${places.join(' or ')}`;
  return { missing, login: LOGINS[agent] };
}
