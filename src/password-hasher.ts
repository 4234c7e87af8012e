import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Hashing, PasswordHash } from './broker/access/access-records.ts';
import type { PasswordHasher } from './broker/access/passwords.ts';

const SALT_BYTES = 4;
const ALGORITHMS: Readonly<Record<Hashing, string>> = {
  rabbit_password_hashing_sha256: 'sha256',
  rabbit_password_hashing_sha512: 'sha512',
  rabbit_password_hashing_md5: 'md5',
};

/** What a password is compared with when there is none: nothing matches it. */
const NOBODY: PasswordHash = { hashing: 'rabbit_password_hashing_sha256', hash: '' };

/** RabbitMQ's salted hashes. One takes some microseconds, so it is done on the loop. */
export class SystemPasswordHasher implements PasswordHasher {
  hash(password: string): PasswordHash {
    const hashing = 'rabbit_password_hashing_sha256';
    const salt = randomBytes(SALT_BYTES);
    return { hashing, hash: Buffer.concat([salt, digest(hashing, salt, password)]).toString('base64') };
  }

  matches(password: string, stored: PasswordHash = NOBODY): boolean {
    const bytes = Buffer.from(stored.hash, 'base64');
    const expected = bytes.subarray(SALT_BYTES);
    const actual = digest(stored.hashing, bytes.subarray(0, SALT_BYTES), password);
    return expected.length === actual.length && timingSafeEqual(expected, actual);
  }
}

const digest = (hashing: Hashing, salt: Uint8Array, password: string): Buffer =>
  createHash(ALGORITHMS[hashing]).update(salt).update(password, 'utf8').digest();
