/** Keeps secrets out of what is shown of attempts, and of what is written for them. */

import { beforeCutSecret, masked } from '../domain/secrets.ts';
import { byteLength } from '../lib/text.ts';
import type { AttemptArtifacts } from './port.ts';

/** The same artifacts; logs and drafts are read, and prompts written, without `secrets`. */
export function maskedArtifacts(artifacts: AttemptArtifacts, secrets: readonly string[]): AttemptArtifacts {
  if (secrets.length === 0) return artifacts;
  return {
    folder: (attempt) => artifacts.folder(attempt),
    logPath: (attempt, log) => artifacts.logPath(attempt, log),
    openLogs: (attempt) => artifacts.openLogs(attempt),
    openLog: (attempt, log) => artifacts.openLog(attempt, log),
    readLog: (attempt, log, offset) => {
      const { text, next } = artifacts.readLog(attempt, log, offset);
      const whole = beforeCutSecret(text, secrets);
      const rest = byteLength(text.slice(whole.length));
      return { text: masked(whole, secrets), next: next - rest };
    },
    writtenAt: (attempt, log) => artifacts.writtenAt(attempt, log),
    tailOffset: (attempt, log, lines) => artifacts.tailOffset(attempt, log, lines),
    cutLog: (attempt, log, cut) => artifacts.cutLog(attempt, log, { ...cut, secrets: [...secrets, ...cut.secrets] }),
    maskLog: (attempt, log, more) => artifacts.maskLog(attempt, log, [...secrets, ...more]),
    writePrompt: (attempt, text) => artifacts.writePrompt(attempt, masked(text, secrets)),
    // A child finds what its parent gave it, as a step finds what another printed.
    writeInput: (attempt, text) => artifacts.writeInput(attempt, text),
    placeForDraft: (attempt, draft) => artifacts.placeForDraft(attempt, draft),
    dropOtherDrafts: (attempt, draft) => artifacts.dropOtherDrafts(attempt, draft),
    draftPath: (attempt, draft) => artifacts.draftPath(attempt, draft),
    readDraft: (attempt, draft, maxBytes) => masked(artifacts.readDraft(attempt, draft, maxBytes), secrets),
    leftovers: (taskId) => artifacts.leftovers(taskId),
    tidy: (attempt, options) => artifacts.tidy(attempt, options),
    removeLeftovers: (attempt) => artifacts.removeLeftovers(attempt),
    tellDoing: (attempt, text) => artifacts.tellDoing(attempt, text),
    doing: (attempt) => artifacts.doing(attempt),
    discard: (attempt) => artifacts.discard(attempt),
  };
}
