import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { FieldValue } from '../../src/broker/field-table.ts';
import { decodePayload } from '../../src/cluster/metadata/metadata-command-codec.ts';
import {
  bind,
  changeAccess,
  connectionClosed,
  declareExchange,
  declareQueue,
  deleteExchange,
  expireIncarnation,
  join,
  type MetadataCommand,
  type MetadataRequest,
  registerStart,
  removeQueue,
  setShardReplicas,
  unbind,
} from '../../src/cluster/metadata/metadata-commands.ts';
import { MetadataMachine } from '../../src/cluster/metadata/metadata-machine.ts';
import { groupId, incarnation, nodeId, queueId } from '../../src/lib/ids.ts';
import type { Page } from '../../src/raft/checkpoint.ts';
import { accessCommandArb } from '../support/access.ts';
import {
  asRecord,
  binding,
  entryOf,
  exchangeNamed,
  formedCluster,
  link,
  MetadataLog,
  owner,
  pagesOf,
  queueNamed,
  restOf,
  restoredFrom,
  stateOf,
  table,
} from '../support/metadata.ts';

const node = fc.integer({ min: 1, max: 3 });
const started = fc.integer({ min: 1, max: 3 });
const name = fc.constantFrom('a', 'b', 'c', 'd', 'amq.topic');
const ownerArb = fc.tuple(fc.integer({ min: 1, max: 3 }), node, started).map(([c, n, i]) => owner(c, n, i));
const fieldArb: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.string().map(value => ({ type: 'string' as const, value })),
  fc.integer({ min: -128, max: 127 }).map(value => ({ type: 'int8' as const, value })),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(value => ({ type: 'int64' as const, value })),
  fc.double({ noNaN: true }).map(value => ({ type: 'double' as const, value })),
  fc.uint8Array().map(value => ({ type: 'bytes' as const, value: new Uint8Array(value) })),
  fc.constant({ type: 'void' as const }),
  fc.tuple(fc.nat(255), fc.integer()).map(([scale, value]) => ({ type: 'decimal' as const, scale, value })),
  fc
    .array(fc.boolean().map(value => ({ type: 'boolean' as const, value })))
    .map(value => ({ type: 'array' as const, value })),
  fc.dictionary(fc.string(), fc.constant({ type: 'timestamp' as const, value: 5n })).map(fields => ({
    type: 'table' as const,
    value: table(fields),
  })),
);
const argumentsArb = fc.dictionary(fc.constantFrom('p', 'q', 'r'), fieldArb).map(table);
const bindingArb = fc
  .tuple(fc.constantFrom(binding, link), name, name, fc.constantFrom('', 'k', 'k.*'), argumentsArb, ownerArb)
  .map(([to, exchange, end, key, bindingArguments, by]) =>
    to(exchange, end, key, { arguments: bindingArguments, owner: by }),
  );

const commandArb: fc.Arbitrary<MetadataCommand> = fc.oneof(
  { weight: 4, arbitrary: accessCommandArb.map(changeAccess) },
  fc
    .tuple(name, fc.constantFrom('direct', 'topic', 'fanout', 'headers'), fc.boolean(), argumentsArb)
    .map(([n, type, autoDelete, exchangeArguments]) =>
      declareExchange(exchangeNamed(n, type, { autoDelete, arguments: exchangeArguments })),
    ),
  fc.tuple(name, fc.boolean()).map(([n, ifUnused]) => deleteExchange({ vhost: '/', name: n, ifUnused })),
  fc
    .tuple(name, fc.boolean(), fc.boolean(), ownerArb, argumentsArb, fc.option(fc.integer({ min: 1, max: 7 })))
    .map(([n, durable, exclusive, by, queueArguments, shard]) =>
      declareQueue({
        ...queueNamed(n, { durable, exclusive, owner: by, arguments: queueArguments }),
        preferredShard: shard === null ? undefined : groupId(shard),
      }),
    ),
  bindingArb.map(bind),
  bindingArb.map(unbind),
  fc.integer({ min: 1, max: 100 }).map(id => removeQueue(queueId(id))),
  ownerArb.map(connectionClosed),
  fc.tuple(node, started).map(([n, i]) => expireIncarnation({ node: nodeId(n), incarnation: incarnation(i) })),
  fc
    .tuple(node, fc.nat(3))
    .map(([n, t]) => registerStart({ node: nodeId(n), directoryId: `directory-${n}`, token: `token-${t}` })),
  fc
    .tuple(node, fc.nat(1))
    .map(([n, d]) =>
      join({ name: `warren-${n}`, directoryId: d === 0 ? `directory-${n}` : 'other', address: 'here:1' }),
    ),
  fc
    .uniqueArray(node, { minLength: 1 })
    .map(replicas =>
      setShardReplicas({ group: groupId(1), replicas: replicas.map(nodeId), preferredLeader: nodeId(replicas[0]!) }),
    ),
);

const requestArb: fc.Arbitrary<MetadataRequest> = fc.record({
  id: fc.option(
    fc
      .tuple(node, started, fc.integer({ min: 1, max: 12 }), fc.nat(6))
      .map(([n, i, number, seenThrough]) => ({ node: nodeId(n), incarnation: incarnation(i), number, seenThrough })),
    { nil: undefined },
  ),
  command: commandArb,
});
const entriesArb = fc.array(fc.array(requestArb, { minLength: 1, maxLength: 4 }), { maxLength: 40 });

it('reads back every request as it was written', () => {
  fc.assert(
    fc.property(fc.array(requestArb), requests => {
      const decoded = decodePayload(entryOf(...requests));
      expect(decoded).toEqual(requests);
    }),
  );
});

it('has equal bytes and equal effects after equal entries, also on a replica that was restored in between', () => {
  fc.assert(
    fc.property(entriesArb, fc.nat(40), (entries, restoreAt) => {
      const log = formedCluster();
      let other = formedCluster();
      entries.forEach((requests, i) => {
        if (i === restoreAt) {
          other = new MetadataLog(restoredFrom(other.machine));
        }
        expect(other.apply(...requests)).toEqual(log.apply(...requests));
      });
      expect(stateOf(other.machine)).toEqual(stateOf(log.machine));
    }),
    { numRuns: 200 },
  );
});

it('adds up from its incremental checkpoints to its whole state, over restarts', () => {
  const planArb = fc.constantFrom('complete', 'abandon', 'restart', 'none', 'none');
  fc.assert(
    fc.property(entriesArb, fc.array(planArb, { maxLength: 40 }), (entries, plans) => {
      const log = formedCluster();
      const kept = new Map<string, Page>();
      const keep = (page: Page) => {
        const key = `${page.key.space}/${page.key.kind}/${page.key.number}`;
        if (page.bytes === undefined) kept.delete(key);
        else kept.set(key, page);
      };
      const expectKept = (state: Record<string, string>) => expect(asRecord([...kept.values()])).toEqual(state);
      entries.forEach((requests, i) => {
        const plan = plans[i] ?? 'none';
        if (plan === 'restart') {
          pagesOf(log.machine, 'changes').forEach(keep);
          log.machine = new MetadataMachine({ pages: [...kept.values()], at: log.machine.applied });
        }
        if (plan !== 'complete' && plan !== 'abandon') {
          log.apply(...requests);
          return;
        }
        const expected = stateOf(log.machine);
        const cut = log.machine.cut('changes', { term: 1, index: log.machine.applied });
        log.apply(...requests);
        const pages = restOf(cut);
        if (plan === 'abandon') {
          cut.abandoned();
          return;
        }
        cut.completed();
        pages.forEach(keep);
        expectKept(expected);
      });
      pagesOf(log.machine, 'changes').forEach(keep);
      expectKept(stateOf(log.machine));
    }),
    { numRuns: 200 },
  );
});

it('executes a request once, however often it comes', () => {
  fc.assert(
    fc.property(fc.array(commandArb, { maxLength: 20 }), fc.array(fc.nat(19)), (commands, repeats) => {
      const requests = commands
        .filter(
          command =>
            command.kind !== 'expire-incarnation' && command.kind !== 'register-start' && command.kind !== 'join',
        )
        .map((command, i) => ({
          id: { node: nodeId(1), incarnation: incarnation(1), number: i + 1, seenThrough: 0 },
          command,
        }));
      const once = formedCluster();
      const often = formedCluster();
      const firstReplies = requests.map(request => once.apply(request).answers[0]!.reply);
      requests.forEach((request, i) => {
        often.apply(request);
        for (const repeat of repeats.filter(r => r <= i)) {
          const effects = often.apply(requests[repeat]!);
          expect(effects.answers[0]!.reply).toEqual(firstReplies[repeat]);
          expect(effects.changes).toEqual([]);
        }
      });
      expect(stateOf(often.machine)).toEqual(stateOf(once.machine));
    }),
    { numRuns: 100 },
  );
});
