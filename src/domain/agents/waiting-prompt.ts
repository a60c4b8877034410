/** Recognises a program that waits for an answer which a worker never gets: its stdin is empty. */

import { lastLine } from '../../lib/text.ts';

/** How dialogs of coding agents, and of what they start, end: of trust, of a login, yes or no, a password. */
const ASKS = [
  /[[(](?:y\/n|yes\/no)(?:\/[^\])]{1,30})*[\])]+\s*[?:>]?$/i,
  /\b(?:do you trust|trust (?:this|the files in this) folder)\b.*\?$/i,
  /^press (?:enter|any key|return)\b/i,
  /\b(?:password|passphrase|authorization code|verification code)\b.*[:?]$/i,
  /^(?:paste|enter) .*(?:code|token|key)\b.*[:>]$/i,
];

/** The last line of an output where it asks something; null where it does not. */
export function waitingPrompt(output: string): string | null {
  const line = lastLine(output);
  return ASKS.some((pattern) => pattern.test(line)) ? line : null;
}
