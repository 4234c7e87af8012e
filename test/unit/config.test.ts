import { expect, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';

const loopbackUsers = (given: unknown, environment: Record<string, string> = {}) => {
  const parsed = parseConfig(given, environment);
  return parsed.ok ? parsed.config.loopbackUsers : parsed.error;
};

it('keeps guest to the machine itself, or whomever the configuration names', () => {
  expect(loopbackUsers({})).toEqual(['guest']);
  expect(loopbackUsers({ loopbackUsers: ['a', 'b'] })).toEqual(['a', 'b']);
  expect(loopbackUsers({ loopbackUsers: [] })).toEqual([]);
  expect(loopbackUsers({}, { WARREN_LOOPBACK_USERS: 'a, b' })).toEqual(['a', 'b']);
  expect(loopbackUsers({ loopbackUsers: 7 })).toMatch(/loopbackUsers.*list of names/);
});

it('listens for AMQP at the addresses given for it', () => {
  const amqpHosts = (environment: Record<string, string>) => {
    const parsed = parseConfig({}, environment);
    return parsed.ok ? parsed.config.listen.amqpHosts : parsed.error;
  };
  expect(amqpHosts({})).toEqual([]);
  expect(amqpHosts({ WARREN_LISTEN_AMQP_HOSTS: '127.0.0.1,::1' })).toEqual(['127.0.0.1', '::1']);
});
