import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { SystemPasswordHasher } from '../../src/password-hasher.ts';

const hasher = new SystemPasswordHasher();
const salt = Buffer.from([1, 2, 3, 4]);
const stored = (algorithm: string, password: string): string =>
  Buffer.concat([salt, createHash(algorithm).update(salt).update(password).digest()]).toString('base64');

it.each([
  ['rabbit_password_hashing_sha256', 'sha256'],
  ['rabbit_password_hashing_sha512', 'sha512'],
  ['rabbit_password_hashing_md5', 'md5'],
] as const)('knows the password of a hash of %s', (hashing, algorithm) => {
  const hash = stored(algorithm, 'tëst');
  expect(hasher.matches('tëst', { hashing, hash })).toBe(true);
  expect(hasher.matches('test', { hashing, hash })).toBe(false);
});

it('knows the password of the hash in the documentation of RabbitMQ', () => {
  const hash = 'kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR';
  expect(hasher.matches('test12', { hashing: 'rabbit_password_hashing_sha256', hash })).toBe(true);
});

it('makes another hash each time, and knows them all', () => {
  const hashes = [hasher.hash('secret'), hasher.hash('secret')];
  expect(hashes[0]!.hash).not.toBe(hashes[1]!.hash);
  for (const hash of hashes) expect(hasher.matches('secret', hash)).toBe(true);
});

it('finds no password right where there is no hash, or half of one', () => {
  expect(hasher.matches('')).toBe(false);
  expect(hasher.matches('guest', undefined)).toBe(false);
  expect(hasher.matches('', { hashing: 'rabbit_password_hashing_sha256', hash: 'AQIDBA==' })).toBe(false);
});
