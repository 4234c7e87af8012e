import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BEHAVIOURS } from './behaviours.ts';

/** A client library with a program that drives it through the behaviours. */
export interface ClientProgram {
  readonly name: string;
  /** Debian packages that it needs. */
  readonly packages: readonly string[];
  /** The library itself, as a file that those packages install; a missing one is a failure. */
  readonly needs: string;
  readonly behaviours: readonly string[];
  /** Compiles what has to be compiled into the folder, and returns the command without the URLs. */
  readonly command: (folder: string) => readonly string[];
}

const HERE = import.meta.dirname;
const python = (file: string) => (): readonly string[] => ['/usr/bin/python3', join(HERE, file)];

export const CLIENT_PROGRAMS: readonly ClientProgram[] = [
  {
    name: 'pika',
    packages: ['python3-pika'],
    needs: '/usr/lib/python3/dist-packages/pika',
    behaviours: BEHAVIOURS,
    command: python('pika_client.py'),
  },
  {
    name: 'bunny',
    packages: ['ruby-bunny'],
    needs: '/usr/share/doc/ruby-bunny',
    behaviours: BEHAVIOURS,
    command: () => ['/usr/bin/ruby', join(HERE, 'bunny_client.rb')],
  },
];

/** The Debian packages of those whose library is not there. */
export const missingPackages = (programs: readonly ClientProgram[]): string[] =>
  programs.filter(({ needs }) => !existsSync(needs)).flatMap(({ packages }) => packages);

/** As root, from Debian's archive. */
export function installPackages(packages: readonly string[]): void {
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  execFileSync('apt-get', ['update'], { stdio: 'ignore' });
  execFileSync('apt-get', ['install', '--yes', '--no-install-recommends', ...packages], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: environment,
  });
}
