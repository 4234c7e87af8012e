import { expect, it } from 'vitest';
import {
  type ClientList,
  clientPage,
  LIST_START,
  type ListedConnection,
  type ListPosition,
} from '../../../src/broker/client-listing.ts';
import { consumerId, incarnation, nodeId } from '../../../src/lib/ids.ts';

/** Connections with so many channels, each with so many consumers. */
function connections(count: number, channels: number, consumers: number, argumentBytes = 0): ListedConnection[] {
  return Array.from({ length: count }, (_, c) => {
    const owner = { node: nodeId(1), incarnation: incarnation(1), connection: c + 1 };
    const facts = { user: 'u', vhost: c % 2 === 0 ? '/' : 'v', protocol: 'test', peerAddress: '' };
    return {
      owner,
      row: () => ({ owner, ...facts, state: 'running', channels, connectedAtMs: 0 }),
      sessions: () =>
        Array.from({ length: channels }, (__, s) => ({
          serial: s + 1,
          row: () => ({ channel: s + 1, consumers, unacked: 0, unconfirmed: 0, prefetch: 0, globalPrefetch: 0 }),
          consumers: () =>
            Array.from({ length: consumers }, (___, h) => ({
              handle: h + 1,
              row: () => ({
                queue: 'q',
                consumer: consumerId(h + 1),
                tag: `${c + 1}/${s + 1}/${h + 1}`,
                autoAck: false,
                exclusive: false,
                prefetch: 0,
                unacked: 0,
                active: true,
                arguments: new Uint8Array(argumentBytes),
              }),
            })),
        })),
    };
  });
}

function readAll<List extends ClientList>(
  list: List,
  of: readonly ListedConnection[],
  from = LIST_START as ListPosition | undefined,
) {
  const pages: number[] = [];
  const names: string[] = [];
  let position = from;
  while (position !== undefined) {
    const page: ReturnType<typeof clientPage<List>> = clientPage(list, of, position);
    pages.push(page.rows.length);
    for (const row of page.rows) {
      names.push(
        'tag' in row
          ? row.tag
          : 'channel' in row
            ? `${row.owner.connection}/${row.channel}`
            : String(row.owner.connection),
      );
    }
    position = page.next;
  }
  return { pages, names };
}

it('pages hold every connection, channel and consumer once, in order, and none holds many', () => {
  const of = connections(70, 13, 3);
  const all = readAll('connections', connections(1_200, 0, 0));
  expect(all.names).toEqual(Array.from({ length: 1_200 }, (_, i) => String(i + 1)));
  expect(Math.max(...all.pages)).toBeLessThanOrEqual(200);
  const channels = readAll('channels', of);
  expect(new Set(channels.names).size).toBe(70 * 13);
  expect(channels.names).toHaveLength(70 * 13);
  const consumers = readAll('consumers', of);
  expect(new Set(consumers.names).size).toBe(70 * 13 * 3);
  expect(consumers.names).toHaveLength(70 * 13 * 3);
});

it('large arguments make small pages', () => {
  const { pages, names } = readAll('consumers', connections(1, 1, 20, 60_000));
  expect(names).toHaveLength(20);
  expect(Math.max(...pages)).toBe(2);
});

it('what ends between two pages is no reason to leave others out or name them twice', () => {
  const of = connections(700, 1, 1);
  const first = clientPage('connections', of, LIST_START);
  const left = of.filter(({ owner }) => owner.connection > 100);
  const names = [
    ...first.rows.map(({ owner }) => String(owner.connection)),
    ...readAll('connections', left, first.next).names,
  ];
  expect(first.next).toBeDefined();
  expect(names).toEqual(Array.from({ length: 700 }, (_, i) => String(i + 1)));
});
