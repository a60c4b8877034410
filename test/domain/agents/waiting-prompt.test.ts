import { expect, test } from 'vitest';
import { waitingPrompt } from '../../../src/domain/agents/waiting-prompt.ts';

test.each([
  ['Opening your browser.\nDo you want to continue? [Y/n]: ', 'Do you want to continue? [Y/n]:'],
  ['Overwrite it? (y/N)', 'Overwrite it? (y/N)'],
  ['Go on connecting (yes/no/[fingerprint])? ', 'Go on connecting (yes/no/[fingerprint])?'],
  ['Are you sure (yes/no)?', 'Are you sure (yes/no)?'],
  ['Do you trust the files in this folder?', 'Do you trust the files in this folder?'],
  ['Press Enter to continue...', 'Press Enter to continue...'],
  ["Password for 'https://me@example.com': ", "Password for 'https://me@example.com':"],
  ['Enter the authorization code: ', 'Enter the authorization code:'],
  ['Paste the token here:', 'Paste the token here:'],
])('the end of %j asks something', (output, line) => {
  expect(waitingPrompt(output)).toBe(line);
});

test.each(['Do you trust it? [y/N]\nyes\n', 'all 12 tests passed', 'the password is set', 'What should I do?', ''])(
  'the end of %j asks nothing',
  (output) => {
    expect(waitingPrompt(output)).toBeNull();
  },
);
