import { expect, test } from 'vitest';
import { acceptHint, setupId } from '../../../src/domain/verify/git-setup.ts';

test('a setup of git that is not accepted has a hint, which names agents.setup where that may have made it', () => {
  const digests = { hooks: 'a' };
  expect(acceptHint(digests, {}, [])).not.toContain('agents.setup');
  expect(acceptHint(digests, {}, ['npm ci'])).toContain('If agents.setup makes it, have it make the same each time.');
  expect(acceptHint(digests, { FORGE_ACCEPT_GIT_SETUP: setupId(digests) }, ['npm ci'])).toBeNull();
});
