import { beforeEach, expect, it } from 'vitest';
import { AccessControl } from '../../../src/broker/access/access-control.ts';
import { NodeLoad } from '../../../src/broker/access/load.ts';
import { LoadExchange } from '../../../src/cluster/load-exchange.ts';
import { Peers } from '../../../src/cluster/peers.ts';
import { type NodeId, nodeId } from '../../../src/lib/ids.ts';

const [ONE, TWO] = [nodeId(1), nodeId(2)];

/** Two nodes; frames between them wait until `carry`. */
let access: AccessControl;
let one: LoadExchange;
let two: LoadExchange;
let load: NodeLoad | undefined;
let frames: { readonly to: NodeId; readonly payload: Uint8Array }[];

beforeEach(() => {
  access = new AccessControl({ beforeAccessChange: () => {} });
  frames = [];
  load = new NodeLoad(() => 0);
  one = exchangeOf(TWO, () => load);
  two = exchangeOf(ONE, () => undefined);
  one.connected(TWO);
  two.connected(ONE);
});

function exchangeOf(other: NodeId, own: () => NodeLoad | undefined): LoadExchange {
  const peers = new Peers({ queuedBytesMax: 1_000_000 });
  const send = (_lane: string, _kind: number, _group: number, payload: Uint8Array): void => {
    frames.push({ to: other, payload });
  };
  peers.connected(other, { send } as unknown as Parameters<Peers['connected']>[1], 0);
  return new LoadExchange({ peers, access: () => access, own });
}

function carry(): number {
  const carried = frames.splice(0);
  for (const { to, payload } of carried) (to === ONE ? one : two).received(to === ONE ? TWO : ONE, payload);
  return carried.length;
}

function limit(user: string): void {
  access.apply({ kind: 'put-user', user, mustBeNew: false, password: 'none', tags: [] });
  access.apply({ kind: 'set-user-limits', user, limits: { connectionsMax: 5, channelsMax: undefined } });
}

it('tells what is limited, and what changes of it, and nothing when nothing changes', () => {
  limit('alice');
  load!.add('user-connections', 'alice', 1);
  load!.add('user-channels', 'alice', 1);
  load!.add('user-connections', 'bob', 1);
  one.tick();
  carry();
  expect(two.othersCount('user-connections', 'alice')).toBe(1);
  expect(two.othersCount('user-channels', 'alice')).toBe(0);
  expect(two.othersCount('user-connections', 'bob')).toBe(0);
  one.tick();
  expect(carry()).toBe(0);
  load!.add('user-connections', 'alice', -1);
  one.tick();
  expect(carry()).toBe(1);
  expect(two.othersCount('user-connections', 'alice')).toBe(0);
});

it('tells what was there before the limit', () => {
  load!.add('user-connections', 'bob', 1);
  one.tick();
  carry();
  limit('bob');
  one.tick();
  carry();
  expect(two.othersCount('user-connections', 'bob')).toBe(1);
});

it('begins anew with a new incarnation, and after a broken link', () => {
  limit('alice');
  load!.add('user-connections', 'alice', 1);
  one.tick();
  carry();
  load = new NodeLoad(() => 0);
  one.tick();
  carry();
  expect(two.othersCount('user-connections', 'alice')).toBe(0);
  load.add('user-connections', 'alice', 1);
  one.tick();
  carry();
  two.disconnected(ONE);
  expect(two.othersCount('user-connections', 'alice')).toBe(0);
  one.connected(TWO);
  one.tick();
  carry();
  expect(two.othersCount('user-connections', 'alice')).toBe(1);
});

it('tells thousands of names in frames of a bounded size', () => {
  const names = Array.from({ length: 2_000 }, (_, i) => `${i}-${'x'.repeat(200)}`);
  for (const name of names) {
    limit(name);
    load!.add('user-connections', name, 1);
  }
  one.tick();
  expect(Math.max(...frames.map(({ payload }) => payload.length))).toBeLessThan(128 * 1024);
  expect(carry()).toBeGreaterThan(1);
  for (const name of names) expect(two.othersCount('user-connections', name)).toBe(1);
});
