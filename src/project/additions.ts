/** What forge adds to files of a person for agents, and how it takes that away. */

import { ForgeError } from '../lib/errors.ts';
import {
  AGENTS_FILE,
  agentsSection,
  CLAUDE_FILE,
  claudeSection,
  locateSection,
  type Section,
  withoutSection,
  withSection,
} from './agents-file.ts';
import { CLAUDE_SETTINGS, whyNoHooks, withHooks, withoutHooks } from './claude-settings.ts';
import { isSame } from './look.ts';
import { readSharedFile, type SharedFile } from './shared-file.ts';

/** A file, and its text afterwards; null: it is removed. */
export interface Addition {
  seen: SharedFile;
  text: string | null;
}

/**
 * The files with what an agent has to know: sections of AGENTS.md and CLAUDE.md. A CLAUDE.md that can't be added to is left as it is, with a
 * warning. Throws SCHEMA_INVALID, IO_ERROR.
 */
export function sectionsFor(project: string, warn: (message: string) => void): Addition[] {
  const agents = readSharedFile(project, AGENTS_FILE);
  const first = withOwnSection(agents, agentsSection);
  try {
    const claude = readSharedFile(project, CLAUDE_FILE);
    return readsAgentsFile(claude, agents) ? [first] : [first, withOwnSection(claude, claudeSection)];
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code !== 'IO_ERROR') throw error;
    warn(`${error.message}; Claude Code reads ${AGENTS_FILE} only where a CLAUDE.md has the line @${AGENTS_FILE}`);
    return [first];
  }
}

/** Whether a file can be written in the project under this name, and through no symlink out of it; where it can't, with a warning. */
export function canBeIn(project: string, name: string, warn: (message: string) => void): boolean {
  try {
    readSharedFile(project, name);
    return true;
  } catch (error) {
    if (!(error instanceof ForgeError) || error.code !== 'IO_ERROR') throw error;
    warn(`${error.message}; ${name} is not written`);
    return false;
  }
}

/** It is the same file, or a person has written so already. */
function readsAgentsFile(claude: SharedFile, agents: SharedFile): boolean {
  const own = withoutSection(claude.text ?? '', locateSection(claude.text ?? '', claudeSection)) ?? '';
  return isSame(claude.path, agents.path) || /(^|\s)@(\.\/)?AGENTS\.md(?![\w.-])/.test(own);
}

function withOwnSection(seen: SharedFile, section: Section): Addition {
  const located = locateSection(seen.text ?? '', section);
  if (located.kind !== 'unclear') return { seen, text: withSection(seen.text, located, section) };
  throw new ForgeError('SCHEMA_INVALID', `${seen.path} does not have forge's markers once, in order: ${located.why}`, {
    hint: 'Remove these lines, and what is left of the section between them, by hand. Then repeat the command.',
  });
}

/** The settings of Claude Code with hooks that ask forge. Throws SCHEMA_INVALID, IO_ERROR. */
export function hooksFor(project: string): Addition {
  const seen = readSharedFile(project, CLAUDE_SETTINGS);
  const why = seen.text === null ? null : whyNoHooks(seen.text);
  if (why === null) return { seen, text: withHooks(seen.text) };
  throw new ForgeError('SCHEMA_INVALID', `${seen.path} can't take hooks: ${why}`, {
    hint: 'Fix it, then repeat the command. Nothing was changed.',
  });
}

export interface Without {
  name: string;
  /** Null: what is there has to stay. */
  change: Addition | null;
  /** Why it, or a part of it, stays; null: nothing does. */
  reason: string | null;
}

/** The files that have something of forge, and what is left without it. */
export function withoutAdditions(project: string): Without[] {
  return [
    without(project, AGENTS_FILE, (text) => sectionTaken(text, agentsSection)),
    without(project, CLAUDE_FILE, (text) => sectionTaken(text, claudeSection)),
    without(project, CLAUDE_SETTINGS, hooksTaken),
  ].filter((found) => found !== null);
}

/** `text`: without it; the same as before where it has nothing of forge. */
type Taken = { text: string | null; reason: string | null };

function without(project: string, name: string, take: (text: string) => Taken): Without | null {
  try {
    const seen = readSharedFile(project, name);
    // What links to AGENTS.md has its section, which is taken away there.
    const isOther = name !== CLAUDE_FILE || !isSame(seen.path, readSharedFile(project, AGENTS_FILE).path);
    if (seen.text === null || !isOther) return null;
    const { text, reason } = take(seen.text);
    if (text === seen.text) return reason === null ? null : { name, change: null, reason };
    // What a symlink leads to was there before.
    return { name, change: { seen, text: text === null && seen.linked ? '' : text }, reason };
  } catch (error) {
    if (!(error instanceof ForgeError)) throw error;
    return { name, change: null, reason: error.message };
  }
}

function sectionTaken(text: string, section: Section): Taken {
  const located = locateSection(text, section);
  if (located.kind === 'none') return { text, reason: null };
  if (located.kind === 'unclear') return { text, reason: `its markers are not there once, in order: ${located.why}` };
  if (located.own) return { text: withoutSection(text, located), reason: null };
  return {
    text,
    reason: 'its section is not as init writes it; `forge init --agents` writes it anew, then it can go',
  };
}

function hooksTaken(before: string): Taken {
  const { text, left } = withoutHooks(before);
  const reason =
    'hooks of forge in it are not as init writes them; `forge init --hooks` writes them anew, then they can go';
  return { text, reason: left ? reason : null };
}
