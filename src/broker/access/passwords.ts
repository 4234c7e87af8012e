import type { PasswordHash } from './access-records.ts';

/** Hashes passwords; the cryptography is the shell's. */
export interface PasswordHasher {
  /** With a salt of its own. */
  hash(password: string): PasswordHash;
  /** In a time that says nothing about the hash; without one, false after as long. */
  matches(password: string, stored: PasswordHash | undefined): boolean;
}
