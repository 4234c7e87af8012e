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

/** Compiles with what Debian's packages bring, without asking the network. */
function goCommand(folder: string): readonly string[] {
  const program = join(folder, 'go-client');
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: join(folder, 'go-cache') };
  execFileSync('go', ['build', '-o', program, join(HERE, 'go_client.go')], { env });
  return [program];
}

function javaCommand(folder: string): readonly string[] {
  const classes = join(folder, 'java');
  const path = ['amqp-client', 'slf4j-api', 'slf4j-nop'].map(name => `/usr/share/java/${name}.jar`).join(':');
  execFileSync('javac', ['-cp', path, '-d', classes, join(HERE, 'JavaClient.java')]);
  return ['java', '-cp', `${path}:${classes}`, 'JavaClient'];
}

export const CLIENT_PROGRAMS: readonly ClientProgram[] = [
  {
    name: 'pika',
    packages: ['python3-pika'],
    needs: '/usr/lib/python3/dist-packages/pika',
    behaviours: BEHAVIOURS,
    command: python('pika_client.py'),
  },
  {
    name: 'py-amqp',
    packages: ['python3-amqp'],
    needs: '/usr/lib/python3/dist-packages/amqp',
    behaviours: BEHAVIOURS,
    command: python('py_amqp_client.py'),
  },
  {
    name: 'kombu',
    packages: ['python3-kombu'],
    needs: '/usr/lib/python3/dist-packages/kombu',
    behaviours: BEHAVIOURS,
    command: python('kombu_client.py'),
  },
  {
    name: 'bunny',
    packages: ['ruby-bunny'],
    needs: '/usr/share/doc/ruby-bunny',
    behaviours: BEHAVIOURS,
    command: () => ['/usr/bin/ruby', join(HERE, 'bunny_client.rb')],
  },
  {
    name: 'php-amqplib',
    packages: ['php-amqplib', 'php-cli', 'php-mbstring'],
    needs: '/usr/share/php/PhpAmqpLib/autoload.php',
    behaviours: BEHAVIOURS,
    command: () => ['/usr/bin/php', join(HERE, 'php_amqplib_client.php')],
  },
  {
    name: 'amqp091-go',
    packages: ['golang-github-rabbitmq-amqp091-go-dev', 'golang-go'],
    needs: '/usr/share/gocode/src/github.com/rabbitmq/amqp091-go',
    behaviours: BEHAVIOURS,
    command: goCommand,
  },
  {
    name: 'Java client',
    packages: ['librabbitmq-client-java', 'default-jdk-headless'],
    needs: '/usr/share/java/amqp-client.jar',
    behaviours: BEHAVIOURS,
    command: javaCommand,
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
