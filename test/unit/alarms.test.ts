import { expect, it } from 'vitest';
import { AlarmLog, alarmText } from '../../src/alarms.ts';

it.each([
  [[], false, undefined],
  [[2], false, 'low on disk'],
  [[], true, 'low on memory'],
  [[1, 2], true, 'low on disk & memory'],
])('nodes %j short of disk, short of memory %s: clients are told "%s"', (nodesShortOfSpace, isShortOfMemory, text) => {
  expect(alarmText({ nodesShortOfSpace, isShortOfMemory })).toBe(text);
});

it('logs each alarm when it begins and when it ends', () => {
  const lines: string[] = [];
  const add =
    (level: string) =>
    (_fields: object, text: string): void => {
      lines.push(`${level} ${text}`);
    };
  const log = new AlarmLog({ info: add('info'), warn: add('warn'), error: add('error') });
  log.review({ nodesShortOfSpace: [], isShortOfMemory: false });
  for (let i = 0; i < 2; i++) log.review({ nodesShortOfSpace: [], isShortOfMemory: true });
  for (let i = 0; i < 2; i++) log.review({ nodesShortOfSpace: [2], isShortOfMemory: true });
  log.review({ nodesShortOfSpace: [], isShortOfMemory: false });
  expect(lines).toEqual([
    'error low on memory: publishers of this node wait until some is free',
    'error low on disk: publishers wait until there is room again',
    'info there is room on the disks again: publishers go on',
    'info there is free memory again: publishers go on',
  ]);
});
