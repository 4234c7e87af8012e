import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BEHAVIOURS, behavioursWithout } from './behaviours.ts';

/** A client library with a program that drives it through the behaviours. */
export interface ClientProgram {
  readonly name: string;
  /** Debian packages that it needs. */
  readonly packages: readonly string[];
  /** What those packages install and the program uses, as files; a missing one is a failure. A library from npm comes with the run. */
  readonly needs: readonly string[];
  readonly behaviours: readonly string[];
  /** It asks for nodes to be killed (`kill N` on standard output), which one RabbitMQ for comparison does not survive. */
  readonly kills?: true;
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

const JAVA = ['amqp-client', 'slf4j-api', 'slf4j-nop'].map(jar => `/usr/share/java/${jar}.jar`);

const javaCommand =
  (name: string) =>
  (folder: string): readonly string[] => {
    const classes = join(folder, 'java');
    const path = JAVA.join(':');
    execFileSync('javac', ['-cp', path, '-d', classes, join(HERE, `${name}.java`)]);
    return ['java', '-cp', `${path}:${classes}`, name];
  };

/** Fetches the packages from npm, exactly these versions, into a folder of the run; the program is told where. */
const npmCommand =
  (file: string, name: string, packages: readonly string[]) =>
  (folder: string): readonly string[] => {
    const prefix = join(folder, name);
    execFileSync('npm', ['install', '--prefix', prefix, '--no-audit', '--no-fund', '--save-exact', ...packages], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return [process.execPath, join(HERE, file), prefix];
  };

/** A stream asks nothing of a library that a queue does not: two of them and their argument tables show it. */
const WITHOUT_STREAM = behavioursWithout('a-stream-is-read-from-its-first-message-twice');

export const CLIENT_PROGRAMS: readonly ClientProgram[] = [
  {
    name: 'pika',
    packages: ['python3-pika'],
    needs: ['/usr/bin/python3', '/usr/lib/python3/dist-packages/pika'],
    behaviours: BEHAVIOURS,
    command: python('pika_client.py'),
  },
  {
    name: 'py-amqp',
    packages: ['python3-amqp'],
    needs: ['/usr/bin/python3', '/usr/lib/python3/dist-packages/amqp'],
    behaviours: WITHOUT_STREAM,
    command: python('py_amqp_client.py'),
  },
  {
    name: 'kombu',
    packages: ['python3-kombu'],
    needs: ['/usr/bin/python3', '/usr/lib/python3/dist-packages/kombu'],
    behaviours: WITHOUT_STREAM,
    command: python('kombu_client.py'),
  },
  {
    name: 'bunny',
    packages: ['ruby-bunny'],
    needs: ['/usr/bin/ruby', '/usr/share/doc/ruby-bunny'],
    behaviours: WITHOUT_STREAM,
    command: () => ['/usr/bin/ruby', join(HERE, 'bunny_client.rb')],
  },
  {
    name: 'php-amqplib',
    packages: ['php-amqplib', 'php-cli', 'php-mbstring'],
    needs: ['/usr/bin/php', '/usr/share/php/PhpAmqpLib/autoload.php'],
    behaviours: WITHOUT_STREAM,
    command: () => ['/usr/bin/php', join(HERE, 'php_amqplib_client.php')],
  },
  {
    name: 'amqp091-go',
    packages: ['golang-github-rabbitmq-amqp091-go-dev', 'golang-go'],
    needs: ['/usr/bin/go', '/usr/share/gocode/src/github.com/rabbitmq/amqp091-go'],
    behaviours: WITHOUT_STREAM,
    command: goCommand,
  },
  {
    name: 'Java client',
    packages: ['librabbitmq-client-java', 'default-jdk-headless'],
    needs: ['/usr/bin/javac', ...JAVA],
    behaviours: WITHOUT_STREAM,
    command: javaCommand('JavaClient'),
  },
  {
    name: 'Java client, automatic recovery',
    packages: ['librabbitmq-client-java', 'default-jdk-headless'],
    needs: ['/usr/bin/javac', ...JAVA],
    behaviours: [
      'a-consumer-and-its-publisher-go-on-after-their-node-was-killed',
      'server-named-queues-bindings-and-consumers-are-recovered',
    ],
    kills: true,
    command: javaCommand('JavaRecovery'),
  },
  {
    name: 'amqplib',
    packages: [],
    needs: [],
    // The library has no way to ask for transactions.
    behaviours: behavioursWithout('a-transaction-is-all-or-nothing'),
    command: () => [process.execPath, join(HERE, 'amqplib-client.mjs')],
  },
  {
    name: 'rabbitmq-client',
    packages: [],
    needs: [],
    behaviours: BEHAVIOURS,
    command: npmCommand('rabbitmq-client.mjs', 'rabbitmq-client', ['rabbitmq-client@5.0.8']),
  },
  {
    name: 'amqp-connection-manager',
    packages: [],
    needs: [],
    behaviours: ['a-channel-goes-on-after-its-node-was-killed', 'exclusive-queues-and-bindings-are-set-up-again'],
    kills: true,
    command: npmCommand('amqp-connection-manager-client.mjs', 'amqp-connection-manager', [
      'amqp-connection-manager@5.0.0',
      'amqplib@2.3.1',
    ]),
  },
  {
    name: 'rabbitmq-c',
    packages: ['amqp-tools'],
    needs: ['/usr/bin/amqp-publish'],
    behaviours: [
      'a-declared-queue-takes-a-message-and-gives-it',
      'an-empty-queue-has-the-status-of-its-own',
      'each-line-is-a-message-and-consuming-ends-at-a-count',
      'a-consumer-binds-an-exclusive-queue',
      'a-refusal-ends-the-tool-with-the-brokers-text',
    ],
    command: () => [process.execPath, join(HERE, 'rabbitmq-c-client.mjs')],
  },
  {
    name: 'Celery',
    packages: ['python3-celery'],
    needs: ['/usr/bin/python3', '/usr/lib/python3/dist-packages/celery'],
    behaviours: [
      'a-task-runs-and-its-result-comes-back',
      'a-task-is-retried-until-it-succeeds',
      'a-task-with-a-countdown-runs-when-its-time-has-come',
      'groups-and-chains-come-together',
      'chords-are-refused-by-the-rpc-backend-itself',
      'a-chord-with-results-in-files-comes-together',
      'a-task-acknowledged-late-survives-its-worker',
    ],
    command: python('celery_client.py'),
  },
];

/** The Debian packages of those whose library is not there. */
export const missingPackages = (programs: readonly ClientProgram[]): string[] =>
  programs.filter(({ needs }) => !needs.every(file => existsSync(file))).flatMap(({ packages }) => packages);

/** As root, from Debian's archive. Somebody else may be installing, and mirrors have bad moments. */
export function installPackages(packages: readonly string[]): void {
  const patient = ['-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=3'];
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const run = (...args: readonly string[]): void => {
    execFileSync('apt-get', [...patient, ...args], { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
  };
  run('update');
  run('install', '--yes', '--no-install-recommends', ...packages);
}
