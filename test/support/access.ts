import fc from 'fast-check';
import type { AccessCommand } from '../../src/broker/access/access-commands.ts';
import { HASHINGS } from '../../src/broker/access/access-records.ts';

const user = fc.constantFrom('guest', 'alice', 'bob', 'ä/1/');
const vhost = fc.constantFrom('/', 'test', 'prod');
const exchange = fc.constantFrom('a', 'b', 'amq.topic');
const pattern = fc.constantFrom('', '.*', '^a', '^{username}\\.');
const tags = fc.array(fc.constantFrom('administrator', 'monitoring', 'own'), { maxLength: 3 });
const limit = fc.option(fc.nat(4), { nil: undefined });
const password = fc.oneof(
  fc.constant('none' as const),
  fc.constant(undefined),
  fc.record({ hashing: fc.constantFrom(...HASHINGS), hash: fc.constantFrom('c2FsdGhhc2g=', 'b3RoZXJoYXNo') }),
);

const commandOf = <Kind extends AccessCommand['kind']>(
  kind: Kind,
  fields: {
    [Field in Exclude<keyof Extract<AccessCommand, { kind: Kind }>, 'kind'>]: fc.Arbitrary<
      Extract<AccessCommand, { kind: Kind }>[Field]
    >;
  },
): fc.Arbitrary<AccessCommand> =>
  fc.record({ kind: fc.constant(kind), ...fields } as Record<
    string,
    fc.Arbitrary<unknown>
  >) as unknown as fc.Arbitrary<AccessCommand>;

/** Every command, about few names, so that they meet. */
export const accessCommandArb: fc.Arbitrary<AccessCommand> = fc.oneof(
  commandOf('put-vhost', { vhost, description: fc.string({ maxLength: 5 }), tags }),
  commandOf('delete-vhost', { vhost }),
  commandOf('continue-vhost-removal', { vhost }),
  commandOf('put-user', { user, mustBeNew: fc.boolean(), password, tags: fc.option(tags, { nil: undefined }) }),
  commandOf('delete-user', { user }),
  commandOf('set-permissions', { user, vhost, configure: pattern, write: pattern, read: pattern }),
  commandOf('clear-permissions', { user, vhost }),
  commandOf('set-topic-permissions', { user, vhost, exchange, write: pattern, read: pattern }),
  commandOf('clear-topic-permissions', { user, vhost, exchange: fc.option(exchange, { nil: undefined }) }),
  commandOf('set-vhost-limits', { vhost, limits: fc.record({ connectionsMax: limit, queuesMax: limit }) }),
  commandOf('set-user-limits', { user, limits: fc.record({ connectionsMax: limit, channelsMax: limit }) }),
);
