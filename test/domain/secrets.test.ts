/** Which values are secrets, and how text looks without them. */

import { describe, expect, test } from 'vitest';
import { beforeCutSecret, masked, maskOf, secretsIn } from '../../src/domain/secrets.ts';
import fc from '../support/properties.ts';

describe('the value of a variable is a secret', () => {
  test.each([
    ['GITHUB_TOKEN', 'ghp_0123456789'],
    ['npm_config__authToken', 'npm_0123456789'],
    ['AWS_SECRET_ACCESS_KEY', 'wJalrXUtnFEMI'],
    ['ANTHROPIC_API_KEY', 'sk-ant-0123'],
    ['DB_PASSWORD', 'correct horse'],
    ['GPG_PASSPHRASE', 'battery staple'],
  ])('when its name looks like one: %s', (name, value) => {
    expect(secretsIn({ [name]: value }, [])).toEqual([value]);
  });

  test('the value of a variable is a secret when its name is listed, also when it is short', () => {
    expect(secretsIn({ DATABASE_URL: 'pg:/', HOME: '/home/x' }, ['DATABASE_URL'])).toEqual(['pg:/']);
  });

  test.each([
    ['HOME', '/home/someone'],
    ['PWD', '/home/someone'],
    ['SSH_AUTH_SOCK', '/run/agent.sock'],
    ['TOKENIZERS_PARALLELISM', 'false'],
    ['MAX_TOKENS', '4096'],
    ['API_TOKEN', ''],
    ['API_TOKEN', '   '],
  ])('but not that of %s=%s', (name, value) => {
    expect(secretsIn({ [name]: value }, [])).toEqual([]);
  });
});

describe('a masked text', () => {
  test('a masked text shows no secret in the form that JSON gives it', () => {
    const key = '-----BEGIN KEY-----\nMII"\\x\n';
    const text = masked(JSON.stringify({ said: key }), secretsIn({ PRIVATE_KEY: key }, []));
    expect(text).toMatch(/^\{"said":"\*+\\n"\}$/);
  });

  test('a masked text shows as many bytes as the secret has, and every occurrence masked', () => {
    expect(masked('a geheimnís b geheimnís', ['geheimnís'])).toBe('a ********** b **********');
  });

  test('a masked text shows nothing of a secret that contains another', () => {
    const secrets = secretsIn({ A_TOKEN: 'abcdefgh', B_TOKEN: 'abcdefgh-and-more' }, []);
    expect(masked('abcdefgh-and-more', secrets)).toBe(maskOf('abcdefgh-and-more'));
  });

  test('contains no secret, and keeps its length in bytes', () => {
    const secret = fc.string({ minLength: 8, maxLength: 12, unit: fc.constantFrom('a', 'b', 'é') });
    fc.assert(
      fc.property(fc.array(secret, { maxLength: 3 }), fc.string(), (values, text) => {
        const secrets = secretsIn(Object.fromEntries(values.map((value, at) => [`TOKEN_${at}`, value])), []);
        const whole = [text, ...values].join(text);
        const shown = masked(whole, secrets);
        for (const value of secrets) expect(shown).not.toContain(value);
        expect(Buffer.byteLength(shown)).toBe(Buffer.byteLength(whole));
      }),
    );
  });
});

describe('a text that ends within a secret', () => {
  test.each([
    ['shown up to it', 'say tok_12', 'say '],
    ['shown whole when no secret begins at its end', 'say token', 'say token'],
    ['shown whole when nothing else would be left', 'tok_', 'tok_'],
    ['shown with a secret that is whole', 'say tok_1234', 'say tok_1234'],
    ['shown up to the longer of two', 'say tok_1234-mo', 'say '],
  ])('is %s', (_, text, shown) => {
    expect(beforeCutSecret(text, text.includes('-') ? ['tok_1234-more', 'ore'] : ['tok_1234'])).toBe(shown);
  });
});
