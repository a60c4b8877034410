import { expect, test } from 'vitest';
import { type SigningLook, signingFault } from '../../../src/domain/verify/signing.ts';

const SSH = { 'gpg.format': 'ssh', 'user.signingkey': '~/.ssh/id' };

test.each<[what: string, settings: Record<string, string>, seen: Partial<SigningLook>, fails: boolean, text: string]>([
  ['gpg may ask for a passphrase', {}, {}, false, 'by gpg, which may ask for a passphrase'],
  ['gpgsm may ask for a passphrase', { 'gpg.format': 'x509' }, {}, false, 'by gpgsm, which may ask for a passphrase'],
  ['the usual program is missing', {}, { isProgram: () => false }, true, 'gpg, which signs commits, is not there'],
  ['a named program is missing', { 'gpg.program': '/opt/gpg' }, { isProgram: () => false }, true, '/opt/gpg, which'],
  ['the more exact name of a program counts', { 'gpg.program': 'a', 'gpg.openpgp.program': 'b' }, {}, false, 'by b,'],
  ['the format is unknown', { 'gpg.format': 'toString' }, {}, true, 'gpg.format is toString'],
  ['ssh-keygen is missing', SSH, { isProgram: () => false }, true, 'ssh-keygen, which signs commits, is not there'],
  ['no ssh key is named', { 'gpg.format': 'ssh' }, {}, true, 'no key is named'],
  ['an ssh key is absent', SSH, { key: () => 'absent' }, true, 'there is no key ~/.ssh/id, and no ssh-agent'],
  ['an ssh key has a passphrase', SSH, { key: () => 'locked' }, true, 'has a passphrase, and there is no ssh-agent'],
  [
    'a key of an agent has none',
    { ...SSH, 'user.signingkey': 'ssh-ed25519 AA' },
    {},
    true,
    'is in an ssh-agent, and there is none',
  ],
])('signing has a fault where %s', (_, settings, seen, fails, text) => {
  const look = {
    setting: (key: string) => settings[key] ?? null,
    isProgram: () => true,
    key: () => 'open' as const,
    hasAgent: false,
  };
  const fault = signingFault({ ...look, ...seen });
  expect(fault).toMatchObject({ fails, message: expect.stringContaining(text) });
  expect(fault?.fix).not.toBe('');
});

test.each<[what: string, settings: Record<string, string>, seen: Partial<SigningLook>]>([
  ['an ssh key has no passphrase', SSH, { key: () => 'open' }],
  ['an agent may have the ssh key', SSH, { key: () => 'locked', hasAgent: true }],
  ['an agent has the literal key', { ...SSH, 'user.signingkey': 'key::ssh-ed25519 AA' }, { hasAgent: true }],
  ['a command names the ssh key', { 'gpg.format': 'ssh', 'gpg.ssh.defaultkeycommand': 'ssh-add -L' }, {}],
])('signing has no fault where %s', (_, settings, seen) => {
  const look = {
    setting: (key: string) => settings[key] ?? null,
    isProgram: () => true,
    key: () => 'absent' as const,
    hasAgent: false,
  };
  expect(signingFault({ ...look, ...seen })).toBeNull();
});
