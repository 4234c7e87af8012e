import { beforeEach, expect, it } from 'vitest';
import { AccessControl } from '../../../src/broker/access/access-control.ts';
import { INITIAL_ACCESS } from '../../../src/broker/access/initial-access.ts';
import { checkChannelLimit, checkConnectionLimits, NodeLoad } from '../../../src/broker/access/load.ts';

let access: AccessControl;
let others: number;
let load: NodeLoad;

beforeEach(() => {
  access = new AccessControl({ beforeAccessChange: () => {} });
  for (const record of INITIAL_ACCESS) access.put(record);
  others = 0;
  load = new NodeLoad(() => others);
});

const guest = { user: 'guest', vhost: '/' };
const textOf = (error: ReturnType<typeof checkChannelLimit>) => (error?.code === 'access-refused' ? error.text : error);

it('lets in as many connections as wish without a limit', () => {
  others = 1_000_000;
  expect(checkConnectionLimits(guest, access, load)).toBeUndefined();
  expect(checkChannelLimit('guest', access, load)).toBeUndefined();
});

it('counts connections of this node and of the others, by vhost before by user', () => {
  access.apply({ kind: 'set-vhost-limits', vhost: '/', limits: { connectionsMax: 2, queuesMax: undefined } });
  access.apply({ kind: 'set-user-limits', user: 'guest', limits: { connectionsMax: 1, channelsMax: undefined } });
  load.add('vhost-connections', '/', 1);
  load.add('user-connections', 'guest', 1);
  const ofUser = "connection refused for user 'guest': user connection limit (1) is reached";
  expect(textOf(checkConnectionLimits(guest, access, load))).toBe(ofUser);
  others = 1;
  const ofVhost = "access to vhost '/' refused for user 'guest': connection limit (2) is reached";
  expect(textOf(checkConnectionLimits(guest, access, load))).toBe(ofVhost);
  others = 0;
  load.add('vhost-connections', '/', -1);
  load.add('user-connections', 'guest', -1);
  expect(checkConnectionLimits(guest, access, load)).toBeUndefined();
});

it('tells each change once, and everything when asked', () => {
  load.add('user-channels', 'guest', 1);
  load.add('user-channels', 'guest', 1);
  load.add('user-connections', 'guest', 1);
  const channels = { kind: 'user-channels', name: 'guest', count: 2 };
  const connections = { kind: 'user-connections', name: 'guest', count: 1 };
  expect(load.takeChanged()).toEqual([channels, connections]);
  expect(load.takeChanged()).toEqual([]);
  expect(load.all()).toEqual([connections, channels]);
  load.add('user-connections', 'guest', -1);
  expect(load.takeChanged()).toEqual([{ ...connections, count: 0 }]);
  expect(load.all()).toEqual([channels]);
});
